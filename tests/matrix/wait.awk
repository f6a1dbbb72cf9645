# Status 0 once every counter of the first file (expect) rose by what it says, from the second file to
# the third (two scrapes). Whether they rose by exactly that is for the host to say.
FNR == 1 { file++ }
/^#/ || NF == 0 { next }
file == 1 && $3 != "<=" {
	n++
	want[n] = $4 + 0 # what only the host knows is not waited for
	metric[n] = $5
	labels[n] = $6
	used[$5] = 1
}
file == 1 { next }
{
	match($0, /^[a-zA-Z0-9_:]+/)
	name = substr($0, 1, RLENGTH)
	if (!(name in used))
		next
	for (i = 1; i <= n; i++)
		if (metric[i] == name && has(labels[i]))
			rise[i] += file == 2 ? -$NF : $NF
}
END {
	for (i = 1; i <= n; i++)
		if (rise[i] < want[i])
			exit 1
}

function has(list, pair, k, count, line) {
	line = $0
	gsub(/ \//, "_/", line)
	count = split(list, pair, ",")
	for (k = 1; k <= count; k++) {
		sub(/=/, "=\"", pair[k])
		if (!index(line, pair[k] "\""))
			return 0
	}
	return 1
}

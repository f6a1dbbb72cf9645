#!/usr/bin/env python3
"""state.test.py - the state directory and its token: what cannot be kept costs a line and no more, and
nothing of others is taken over or believed."""
import os
import stat
import sys

from program import NOBODY, check, in_mounts, main


def mode_and_owner(path):
    st = os.lstat(path)
    return oct(stat.S_IMODE(st.st_mode)), st.st_uid


def goes_on(program, *words):
    """It serves, and has said in one line what it cannot keep."""
    program.ready()
    lines = program.find(" warn +keeper")
    check(len(lines) == 1, "not one line:\n" + program.log())
    for word in words:
        check(word in lines[0], f'no "{word}" in: {lines[0]}')
    check(program.stop() == 0, program.log())


def quiet(program):
    program.ready()
    check(not program.find(" (warn|error) "), program.log())
    check(program.stop() == 0, program.log())


def test_made_private(t):
    os.umask(0)
    t.undo(lambda: os.umask(0o022))
    program = t.run()
    quiet(program)
    check(mode_and_owner(program.state_dir) == ("0o711", NOBODY), mode_and_owner(program.state_dir))
    token = os.path.join(program.state_dir, "token")
    check(mode_and_owner(token) == ("0o600", 0), mode_and_owner(token))
    check(os.listdir(program.state_dir) == ["token"], os.listdir(program.state_dir))
    check(len(program.token()) == 64, "the token's length")
    first = program.token()
    again = t.run()
    quiet(again)
    check(again.token() == first, "the token changed over a restart")


def test_cannot_be_made(t):
    goes_on(t.run(state_dir="/proc/trimtab"), "/proc/trimtab", "--state-dir")
    goes_on(t.run(state_dir=t.file("file", "x")), "Not a directory", "--state-dir")
    dangling = os.path.join(t.dir, "dangling")
    os.symlink("/nonexistent", dangling)
    goes_on(t.run(state_dir=dangling), dangling, "No such file", "--state-dir")


def test_file_system_full(t):
    place = os.path.join(t.dir, "full")
    os.mkdir(place)
    wrap = in_mounts('mount -t tmpfs -o size=64k none "$1"; dd if=/dev/zero of="$1/fill" bs=4k 2>/dev/null || :',
                     place)
    goes_on(t.run(wrap=wrap, state_dir=place + "/state"), "token", "No space left", "--state-dir")


def test_file_system_read_only(t):
    place = os.path.join(t.dir, "ro")
    os.mkdir(place)
    wrap = in_mounts('mount -t tmpfs -o ro none "$1"', place)
    goes_on(t.run(wrap=wrap, state_dir=place + "/state"), "Read-only file system", "--state-dir")


def test_link_to_directory(t):
    """An administrator may keep it elsewhere; it is treated as any other."""
    target, link = os.path.join(t.dir, "target"), os.path.join(t.dir, "link")
    os.mkdir(target)
    os.symlink(target, link)
    quiet(t.run(state_dir=link))
    check(mode_and_owner(target) == ("0o711", NOBODY), mode_and_owner(target))


def test_directory_of_others(t):
    """--state-dir /etc must not give /etc away."""
    place = os.path.join(t.dir, "etc")
    os.mkdir(place, 0o755)
    with open(place + "/passwd", "w") as f:
        f.write("x")
    program = t.run(state_dir=place)
    goes_on(program, place, "files of others")
    check(mode_and_owner(place) == ("0o755", 0), mode_and_owner(place))
    check(mode_and_owner(place + "/token") == ("0o600", 0), "the token")


def replaced(t, prepare, mode, *words):
    """A token file that is not to be used: a line, a new token, nothing written through it."""
    state = os.path.join(t.dir, "state")
    os.makedirs(state, exist_ok=True)
    path = os.path.join(state, "token")
    prepare(path)
    if mode is not None:
        os.chmod(path, mode)
    program = t.run(state_dir=state)
    goes_on(program, "token", *words)
    return program


def test_token_not_believed(t):
    def short(path):
        with open(path, "w") as f:
            f.write("short\n")

    def long(path):
        with open(path, "w") as f:
            f.write("x" * 65 + "\n")

    def foreign(path):
        with open(path, "w") as f:
            f.write("a-token-that-the-agent-put-there\n")
        os.chown(path, NOBODY, NOBODY)

    def linked(path):
        os.symlink(t.file("victim", "a-file-that-root-must-not-touch\n"), path)

    def fifo(path):
        os.mkfifo(path)

    for prepare, mode, word in ((short, 0o600, "16 to 64"), (long, 0o600, "16 to 64"),
                                (foreign, 0o600, "keeper's own"), (linked, None, "symbolic links"),
                                (fifo, 0o600, "keeper's own")):
        program = replaced(t, prepare, mode, word, "a new token is made")
        check(len(program.token()) == 64, prepare.__name__, "token is now", program.token())
        path = os.path.join(program.state_dir, "token")
        check(mode_and_owner(path) == ("0o600", 0), prepare.__name__, mode_and_owner(path))
        os.unlink(path)
    with open(os.path.join(t.dir, "victim")) as f:
        check(f.read() == "a-file-that-root-must-not-touch\n", "the link's target was written")


def test_token_is_a_directory(t):
    state = os.path.join(t.dir, "state")
    os.makedirs(state + "/token")
    program = t.run(state_dir=state)
    program.ready()
    check(program.find("a new token is made") and program.find("cannot write .*serve.token"), program.log())
    check(program.stop() == 0, program.log())


def test_token_readable_by_others(t):
    def open_to_all(path):
        with open(path, "w") as f:
            f.write("chosen-by-hand-and-left-open\n")

    program = replaced(t, open_to_all, 0o644, "could be read by others")
    check(program.token() == "chosen-by-hand-and-left-open", program.token())
    check(mode_and_owner(program.state_dir + "/token") == ("0o600", 0), "its mode")


def test_no_such_user(t):
    line = t.refused(env={"TRIMTAB_AGENT_USER": "nosuchuser"})
    check("agent.user" in line and '"nosuchuser"' in line and "create it" in line, line)
    line = t.refused(env={"TRIMTAB_AGENT_USER": "root"})
    check("must not be root" in line, line)


if __name__ == "__main__":
    sys.exit(main(globals()))

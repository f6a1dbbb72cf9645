/* top_view_private.h - what the two files of the view share: its columns. */
#ifndef TRIMTAB_TOP_VIEW_PRIVATE_H
#define TRIMTAB_TOP_VIEW_PRIVATE_H

#include "client/top_view.h"

enum top_column { SERVICE, PROTOCOL, DIRECTION, FIRST_VALUE, COLUMNS = FIRST_VALUE + TOP_VALUES };

struct top_view_column {
	const char *title, *key; /* of the API */
	size_t width;
	int rank; /* when there is no room, the highest goes first; 0 stays */
};

extern const struct top_view_column top_view_columns[COLUMNS];

#endif

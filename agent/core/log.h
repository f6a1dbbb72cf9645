/* log.h - one line an event, to standard error: text or JSON, rate-limited by call site.
 *
 *   2026-11-23T18:12:11.123Z warn  disk: cannot attach block_rq_issue: Operation not permitted
 *   {"time":"...","level":"warn","area":"disk","message":"..."}
 *
 * Each call site may write LOG_BURST lines in LOG_WINDOW_S seconds; what it holds back is counted
 * and said with its next line ("(12 more like it held back)"). Secrets are never passed to it.
 */
#ifndef TRIMTAB_LOG_H
#define TRIMTAB_LOG_H

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#define LOG_BURST 5
#define LOG_WINDOW_S 10

struct log_site {
	uint64_t window_s;
	uint32_t lines, held;
};

void log_setup(int format, enum log_level level); /* enum log_format of config.h */
__attribute__((format(printf, 4, 5))) void log_write(struct log_site *site, enum log_level level,
						     const char *area, const char *format, ...);
uint64_t log_held_back(void); /* lines held back since the start, for /api/status */

#define log_at(level, area, ...)                                                                   \
	do {                                                                                       \
		static struct log_site log_site_;                                                  \
		log_write(&log_site_, level, area, __VA_ARGS__);                                   \
	} while (0)
#define log_error(area, ...) log_at(LOG_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...) log_at(LOG_WARN, area, __VA_ARGS__)
#define log_info(area, ...) log_at(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_at(LOG_DEBUG, area, __VA_ARGS__)

#endif

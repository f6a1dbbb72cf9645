/* scrape.c - GET /metrics: negotiates the format and writes it.
 *
 * Not compressed, whatever Accept-Encoding says: the agent is scraped on the node or over a fast
 * network, and gzip's fastest level takes about eight times the CPU of the scrape itself.
 */
#include "core/agent.h"
#include "serve/accept.h"
#include "serve/http.h"
#include "serve/prometheus.h"
#include "serve/protobuf.h"
#include "serve/scrape.h"

int scrape_get(struct http_request *q)
{
	enum exposition format = accept_choose(http_header(q, MHD_HTTP_HEADER_ACCEPT));
	uint64_t now_ns = agent_now_ns(), classic;
	int status = http_query_uint(q, "classic", 0, 0, 1, &classic);

	if (status)
		return status;
	q->content_type = accept_content_type(format);
	if (format == EXPOSITION_PROTOBUF)
		protobuf_write(q->agent->store, now_ns, classic, &q->out);
	else
		prometheus_write(q->agent->store, now_ns, NULL, format == EXPOSITION_OPENMETRICS,
				 &q->out);
	return MHD_HTTP_OK;
}

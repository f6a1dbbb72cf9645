/* request_http_talk.h - what clients and servers said to each other, for request_http_test.c:
 * recorded between curl 7.88, Chromium 156, Node 20, Python's urllib and sockets of our own, and
 * nginx 1.22 and Node's http server, each call a piece. Of long bodies only the beginning was kept,
 * and the lengths are made to fit.
 */
#ifndef TRIMTAB_TESTS_REQUEST_HTTP_TALK_H
#define TRIMTAB_TESTS_REQUEST_HTTP_TALK_H

struct piece {
	char who; /* 'C' the client, 'S' the server */
	const char *bytes;
};

#define BODY_100                                                                                   \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"                                       \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define BODY_500 BODY_100 BODY_100 BODY_100 BODY_100 BODY_100
#define BODY_1000 BODY_500 BODY_500

static const struct piece talk_curl_node[] = {
    {'C', "GET /api/users/17?x=1 HTTP/1.1\r\n"
	  "Host: 127.0.0.1:41569\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "Transfer-Encoding: chunked\r\n"
	  "\r\n"
	  "9\r\n"
	  "part one,\r\n"
	  "3\r\n"
	  " 0\n"
	  "\r\n"
	  "0\r\n"
	  "\r\n"},
    {'C', "GET /missing/3f2a9c01 HTTP/1.1\r\n"
	  "Host: 127.0.0.1:41569\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 404 Not Found\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "Content-Length: 3\r\n"
	  "\r\n"
	  "no\n"},
    {'C', "GET /none HTTP/1.1\r\n"
	  "Host: 127.0.0.1:41569\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 204 No Content\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "\r\n"},
    {'C', "GET /boom HTTP/1.1\r\n"
	  "Host: 127.0.0.1:41569\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 503 Service Unavailable\r\n"
	  "Content-Length: 5\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "\r\n"
	  "boom\n"},
};

static const struct piece talk_expect[] = {
    {'C', "POST /upload HTTP/1.1\r\n"
	  "Host: 127.0.0.1:36687\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "Content-Length: 2000\r\n"
	  "Content-Type: application/x-www-form-urlencoded\r\n"
	  "Expect: 100-continue\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 100 Continue\r\n"
	  "\r\n"},
    {'C', BODY_1000},
    {'C', BODY_1000},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "Transfer-Encoding: chunked\r\n"
	  "\r\n"
	  "9\r\n"
	  "part one,\r\n"
	  "9\r\n"
	  " 1100000\n"
	  "\r\n"
	  "0\r\n"
	  "\r\n"},
};

static const struct piece talk_chunked[] = {
    {'C', "PUT /put/me HTTP/1.1\r\n"
	  "Host: 127.0.0.1:53605\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "Transfer-Encoding: chunked\r\n"
	  "\r\n"
	  "6\r\n"
	  "hello\n"
	  "\r\n"},
    {'C', "6\r\n"
	  "world\n"
	  "\r\n"
	  "0\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "Transfer-Encoding: chunked\r\n"
	  "\r\n"
	  "9\r\n"
	  "part one,\r\n"
	  "4\r\n"
	  " 12\n"
	  "\r\n"
	  "0\r\n"
	  "\r\n"},
};

static const struct piece talk_curl_nginx[] = {
    {'C', "HEAD / HTTP/1.1\r\n"
	  "Host: 127.0.0.1:48725\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 15\r\n"
	  "Last-Modified: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "ETag: \"6b04ed5c-f\"\r\n"
	  "Accept-Ranges: bytes\r\n"
	  "\r\n"},
    {'C', "GET / HTTP/1.1\r\n"
	  "Host: 127.0.0.1:48725\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 15\r\n"
	  "Last-Modified: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "ETag: \"6b04ed5c-f\"\r\n"
	  "Accept-Ranges: bytes\r\n"
	  "\r\n"},
    {'S', "<h1>hello</h1>\n"},
    {'C', "GET /nothing HTTP/1.1\r\n"
	  "Host: 127.0.0.1:48725\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 404 Not Found\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 153\r\n"
	  "Connection: keep-alive\r\n"
	  "\r\n"
	  "<html>\r\n"
	  "<head><title>404 Not Found</title></head>\r\n"
	  "<body>\r\n"
	  "<center><h1>404 Not Found</h1></center>\r\n"
	  "<hr><center>nginx/1.22.1</center>\r\n"
	  "</body>\r\n"
	  "</html>\r\n"},
    {'C', "GET /old HTTP/1.1\r\n"
	  "Host: 127.0.0.1:48725\r\n"
	  "User-Agent: curl/7.88.1\r\n"
	  "Accept: */*\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 301 Moved Permanently\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 169\r\n"
	  "Location: http://127.0.0.1:18099/new\r\n"
	  "Connection: keep-alive\r\n"
	  "\r\n"
	  "<html>\r\n"
	  "<head><title>301 Moved Permanently</title></head>\r\n"
	  "<body>\r\n"
	  "<center><h1>301 Moved Permanently</h1></center>\r\n"
	  "<hr><center>nginx/1.22.1</center>\r\n"
	  "</body>\r\n"
	  "</html>\r\n"},
};

static const struct piece talk_nginx_pipelined[] = {
    {'C', "GET / HTTP/1.1\r\n"
	  "Host: a\r\n"
	  "\r\n"
	  "GET / HTTP/1.1\r\n"
	  "Host: a\r\n"
	  "\r\n"
	  "HEAD /x HTTP/1.1\r\n"
	  "Host: a\r\n"
	  "\r\n"
	  "GET /old HTTP/1.1\r\n"
	  "Host: a\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 15\r\n"
	  "Last-Modified: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "ETag: \"6b04ed5c-f\"\r\n"
	  "Accept-Ranges: bytes\r\n"
	  "\r\n"},
    {'S', "<h1>hello</h1>\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 15\r\n"
	  "Last-Modified: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "ETag: \"6b04ed5c-f\"\r\n"
	  "Accept-Ranges: bytes\r\n"
	  "\r\n"},
    {'S', "<h1>hello</h1>\n"},
    {'S', "HTTP/1.1 404 Not Found\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 153\r\n"
	  "Connection: keep-alive\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 301 Moved Permanently\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 169\r\n"
	  "Location: http://a:18099/new\r\n"
	  "Connection: keep-alive\r\n"
	  "\r\n"
	  "<html>\r\n"
	  "<head><title>301 Moved Permanently</title></head>\r\n"
	  "<body>\r\n"
	  "<center><h1>301 Moved Permanently</h1></center>\r\n"
	  "<hr><center>nginx/1.22.1</center>\r\n"
	  "</body>\r\n"
	  "</html>\r\n"},
};

static const struct piece talk_node_pipelined[] = {
    {'C', "POST /a HTTP/1.1\r\n"
	  "Host: a\r\n"
	  "Content-Length: 3\r\n"
	  "\r\n"
	  "abcGET /b HTTP/1.1\r\n"
	  "Host: a\r\n"
	  "\r\n"
	  "HEAD /missing HTTP/1.1\r\n"
	  "Host: a\r\n"
	  "\r\n"
	  "GET /none HTTP/1.1\r\n"
	  "Host: a\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "Transfer-Encoding: chunked\r\n"
	  "\r\n"
	  "9\r\n"
	  "part one,\r\n"
	  "3\r\n"
	  " 3\n"
	  "\r\n"
	  "0\r\n"
	  "\r\n"
	  "HTTP/1.1 200 OK\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "Transfer-Encoding: chunked\r\n"
	  "\r\n"
	  "9\r\n"
	  "part one,\r\n"
	  "3\r\n"
	  " 0\n"
	  "\r\n"
	  "0\r\n"
	  "\r\n"
	  "HTTP/1.1 404 Not Found\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "\r\n"
	  "HTTP/1.1 204 No Content\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:21 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "\r\n"},
};

static const struct piece talk_node[] = {
    {'C', "POST /v1/orders HTTP/1.1\r\n"
	  "Host: 127.0.0.1:46183\r\n"
	  "Connection: keep-alive\r\n"
	  "Content-Length: 7\r\n"
	  "\r\n"
	  "{\"a\":1}"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:22 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "Transfer-Encoding: chunked\r\n"
	  "\r\n"
	  "9\r\n"
	  "part one,\r\n"
	  "3\r\n"
	  " 7\n"
	  "\r\n"
	  "0\r\n"
	  "\r\n"},
    {'C', "DELETE /v1/orders/550e8400-e29b-41d4-a716-446655440000 HTTP/1.1\r\n"
	  "Host: 127.0.0.1:46183\r\n"
	  "Connection: keep-alive\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:22 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "Keep-Alive: timeout=5\r\n"
	  "Transfer-Encoding: chunked\r\n"
	  "\r\n"
	  "9\r\n"
	  "part one,\r\n"
	  "3\r\n"
	  " 0\n"
	  "\r\n"
	  "0\r\n"
	  "\r\n"},
};

static const struct piece talk_urllib[] = {
    {'C', "GET /index.html HTTP/1.1\r\n"
	  "Accept-Encoding: identity\r\n"
	  "Host: 127.0.0.1:57345\r\n"
	  "User-Agent: Python-urllib/3.11\r\n"
	  "Connection: close\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:22 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 15\r\n"
	  "Last-Modified: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: close\r\n"
	  "ETag: \"6b04ed5c-f\"\r\n"
	  "Accept-Ranges: bytes\r\n"
	  "\r\n"
	  "<h1>hello</h1>\n"},
};

static const struct piece talk_chromium[] = {
    {'C', "GET / HTTP/1.1\r\n"
	  "Host: 127.0.0.1:49193\r\n"
	  "Connection: keep-alive\r\n"
	  "sec-ch-ua: \"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\"\r\n"
	  "sec-ch-ua-mobile: ?0\r\n"
	  "sec-ch-ua-platform: \"Linux\"\r\n"
	  "Upgrade-Insecure-Requests: 1\r\n"
	  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Ge"
	  "cko) HeadlessChrome/156.0.0.0 Safari/537.36\r\n"
	  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/jxl,image/"
	  "avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
	  "\r\n"
	  "Sec-Fetch-Site: none\r\n"
	  "Sec-Fetch-Mode: navigate\r\n"
	  "Sec-Fetch-User: ?1\r\n"
	  "Sec-Fetch-Dest: document\r\n"
	  "Accept-Encoding: gzip, deflate, br, zstd\r\n"
	  "Accept-Language: en-US,en;q=0.9\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 200 OK\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:23 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 15\r\n"
	  "Last-Modified: Tue, 24 Nov 2026 01:50:20 GMT\r\n"
	  "Connection: keep-alive\r\n"
	  "ETag: \"6b04ed5c-f\"\r\n"
	  "Accept-Ranges: bytes\r\n"
	  "\r\n"
	  "<h1>hello</h1>\n"},
    {'C', "GET /favicon.ico HTTP/1.1\r\n"
	  "Host: 127.0.0.1:49193\r\n"
	  "Connection: keep-alive\r\n"
	  "sec-ch-ua-platform: \"Linux\"\r\n"
	  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Ge"
	  "cko) HeadlessChrome/156.0.0.0 Safari/537.36\r\n"
	  "sec-ch-ua: \"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\"\r\n"
	  "sec-ch-ua-mobile: ?0\r\n"
	  "Accept: image/jxl,image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q"
	  "=0.8\r\n"
	  "Sec-Fetch-Site: same-origin\r\n"
	  "Sec-Fetch-Mode: no-cors\r\n"
	  "Sec-Fetch-Dest: image\r\n"
	  "Referer: http://127.0.0.1:49193/\r\n"
	  "Accept-Encoding: gzip, deflate, br, zstd\r\n"
	  "Accept-Language: en-US,en;q=0.9\r\n"
	  "\r\n"},
    {'S', "HTTP/1.1 404 Not Found\r\n"
	  "Server: nginx/1.22.1\r\n"
	  "Date: Tue, 24 Nov 2026 01:50:23 GMT\r\n"
	  "Content-Type: text/html\r\n"
	  "Content-Length: 545\r\n"
	  "Connection: keep-alive\r\n"
	  "\r\n"
	  "<html>\r\n"
	  "<head><title>404 Not Found</title></head>\r\n"
	  "<body>\r\n"
	  "<center><h1>404 Not Found</h1></center>\r\n"
	  "<hr><center>nginx/1.22.1</center>\r\n"
	  "</body>\r\n"
	  "</html>\r\n"
	  "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
	  "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
	  "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
	  "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
	  "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
	  "<!-- a padding to disable MSIE and Chrome friendly error "},
};

#endif

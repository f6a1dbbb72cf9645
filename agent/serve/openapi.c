/* openapi.c - GET /api/openapi.json: the route table, and the schemas of openapi.json.
 *
 * Made at each request, since it is asked for rarely. Cost: about 0.3 ms.
 */
#include <cjson/cJSON.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "serve/http.h"
#include "serve/openapi.h"
#include "serve/embed.h"
#include "serve/routes.h"

static cJSON *reference(const char *kind, const char *name)
{
	cJSON *json = cJSON_CreateObject();
	char text[96];

	snprintf(text, sizeof(text), "#/components/%s/%s", kind, name);
	cJSON_AddStringToObject(json, "$ref", text);
	return json;
}

static void add_param(cJSON *list, const struct route *r, size_t i)
{
	cJSON *param = cJSON_CreateObject(), *schema;
	bool integer = strcmp(r->param[i].type, "integer") == 0;
	bool in_path = strchr(r->path, '{');

	cJSON_AddItemToArray(list, param);
	cJSON_AddStringToObject(param, "name", r->param[i].name);
	cJSON_AddStringToObject(param, "in", in_path ? "path" : "query");
	cJSON_AddBoolToObject(param, "required", in_path || strcmp(r->method, "POST") == 0);
	cJSON_AddStringToObject(param, "description", r->param[i].about);
	schema = cJSON_AddObjectToObject(param, "schema");
	cJSON_AddStringToObject(schema, "type", r->param[i].type);
	if (integer) {
		cJSON_AddNumberToObject(schema, "minimum", r->param[i].min);
		cJSON_AddNumberToObject(schema, "maximum", r->param[i].max);
	}
	if (r->param[i].values) {
		cJSON *values = cJSON_AddArrayToObject(schema, "enum");

		for (const char *const *v = r->param[i].values; *v; v++)
			cJSON_AddItemToArray(values, cJSON_CreateString(*v));
	}
	if (r->param[i].fallback && integer)
		cJSON_AddNumberToObject(schema, "default", atof(r->param[i].fallback));
	else if (r->param[i].fallback)
		cJSON_AddStringToObject(schema, "default", r->param[i].fallback);
}

static void add_content(cJSON *to, const struct route *r)
{
	cJSON *content = cJSON_AddObjectToObject(to, "content");

	for (size_t i = 0; i < sizeof(r->types) / sizeof(r->types[0]); i++) {
		const char *type = r->types[i] ? r->types[i] : i == 0 ? "application/json" : NULL;
		cJSON *media;

		if (!type)
			break;
		media = cJSON_AddObjectToObject(content, type);
		if (strcmp(type, "application/json") == 0)
			cJSON_AddItemToObject(media, "schema", reference("schemas", r->schema));
		else
			cJSON_AddStringToObject(cJSON_AddObjectToObject(media, "schema"), "type",
						"string");
	}
}

static void add_responses(cJSON *to, const struct route *r)
{
	cJSON *responses = cJSON_AddObjectToObject(to, "responses"), *success;
	char status[8];

	snprintf(status, sizeof(status), "%d", r->status);
	success = cJSON_AddObjectToObject(responses, status);
	cJSON_AddStringToObject(success, "description", r->summary);
	add_content(success, r);
	cJSON_AddItemToObject(responses, "default", reference("responses", "Error"));
}

static void add_operation(cJSON *paths, const struct route *r)
{
	cJSON *path = cJSON_GetObjectItemCaseSensitive(paths, r->path), *operation, *security;
	char method[8] = "";

	if (!path)
		path = cJSON_AddObjectToObject(paths, r->path);
	for (size_t i = 0; r->method[i] && i < sizeof(method) - 1; i++)
		method[i] = (char)(r->method[i] | 0x20);
	operation = cJSON_AddObjectToObject(path, method);
	cJSON_AddStringToObject(operation, "summary", r->summary);
	security = cJSON_AddArrayToObject(operation, "security");
	if (r->access == ROUTE_READ) /* {}: without one, too */
		cJSON_AddItemToArray(security, cJSON_CreateObject());
	if (r->access != ROUTE_OPEN) {
		cJSON *token = cJSON_CreateObject();

		cJSON_AddArrayToObject(token, "token");
		cJSON_AddItemToArray(security, token);
	}
	if (r->param[0].name) {
		cJSON *list = cJSON_AddArrayToObject(operation, "parameters");

		for (size_t i = 0; i < ROUTE_PARAMS_MAX && r->param[i].name; i++)
			add_param(list, r, i);
	}
	add_responses(operation, r);
}

int openapi_get(struct http_request *q)
{
	cJSON *json = cJSON_Parse(embed_openapi), *paths;

	paths = cJSON_AddObjectToObject(json, "paths");
	cJSON_AddStringToObject(cJSON_GetObjectItemCaseSensitive(json, "info"), "version",
				TRIMTAB_VERSION);
	for (size_t i = 0; paths && i < routes_n; i++)
		add_operation(paths, &routes[i]);
	return http_json(q, json, MHD_HTTP_OK);
}

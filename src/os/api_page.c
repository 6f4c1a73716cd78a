/* SPDX-License-Identifier: MIT */
/* The page: three files, so that the content security policy can forbid anything inline. */
#include "http/http_request.h"
#include "os/api_internal.h"

void api_get_page(void *owner, struct http_request *request)
{
	http_reply_static(request, "text/html; charset=utf-8", page_html, page_html_len);
}

void api_get_page_js(void *owner, struct http_request *request)
{
	http_reply_static(request, "text/javascript; charset=utf-8", page_js, page_js_len);
}

void api_get_page_css(void *owner, struct http_request *request)
{
	http_reply_static(request, "text/css; charset=utf-8", page_css, page_css_len);
}

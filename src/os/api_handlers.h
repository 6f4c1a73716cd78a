/* SPDX-License-Identifier: MIT */
/* The handlers of api_routes.c: each is an http_handler_fn. */
#ifndef OS_API_HANDLERS_H
#define OS_API_HANDLERS_H

struct http_request;

typedef void api_handler(void *owner, struct http_request *request);
api_handler api_get_openapi, api_get_metrics, api_get_healthz;
api_handler api_tunnel_start, api_tunnel_stop, api_tunnel_status, api_tunnel_qr, api_tunnel_check;
api_handler api_get_connection, api_get_connections, api_end_connection;
api_handler api_get_forwards, api_add_forward, api_remove_forward;
api_handler api_get_requests, api_get_request, api_record_requests, api_clear_requests;
api_handler api_get_requests_har, api_replay_request;
api_handler api_get_app, api_app_start, api_app_stop, api_app_restart;
api_handler api_get_logs, api_get_events;
api_handler api_get_policy, api_put_policy, api_get_decisions, api_explain, api_look_allow,
	api_allow;
api_handler api_fs_list, api_fs_read, api_fs_write;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the texts of an application's options have to be, for the tables of `wasmrun os` and
 * `wasmrun run`. Each is the `check` of a struct option_def, which has one form.
 */
#ifndef OS_RUN_CHECK_H
#define OS_RUN_CHECK_H

int run_check_variable(int form, const char *text, char *ret_why); /* NAME=VALUE */
int run_check_folder(int form, const char *text, char *ret_why);   /* HOST::GUEST */
int run_check_fallback(int form, const char *text, char *ret_why); /* see serve/files.h */
int run_check_field(int form, const char *text, char *ret_why);    /* NAME: VALUE, of HTTP */
int run_check_rule(int form, const char *text, char *ret_why);     /* see policy/net_rule.h */
int run_check_port(int form, const char *text, char *ret_why);     /* 1 to 65535 */

#endif

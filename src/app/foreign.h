/* SPDX-License-Identifier: MIT */
/* Hosts that modules are made for and that wasmrun is not, told by the names that modules use. */
#ifndef APP_FOREIGN_H
#define APP_FOREIGN_H

#include <stddef.h>

enum foreign_place {
	FOREIGN_IMPORT,           /* the module part of what a core module imports */
	FOREIGN_EXPORT,           /* what a core module exports */
	FOREIGN_COMPONENT_EXPORT, /* what a component exports */
};

/* What is to be said of a module in which `name` stands, behind its path; NULL: nothing. */
const char *foreign_find(enum foreign_place place, const char *name, size_t len);

#endif

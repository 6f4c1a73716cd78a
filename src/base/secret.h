/* SPDX-License-Identifier: MIT */
/*
 * The shared secret of a tunnel. Its text lives in pages of its own that are left out of core
 * dumps, and is wiped before they are given back. An empty secret is a secret, hence the flag.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The longest secret, in bytes: far more than any key, and small enough to read in one go. */
#define SECRET_MAX_LEN 4096

struct secret {
	char *text; /* len bytes and a NUL; NULL unless set */
	size_t len;
	bool set;
};

/* Copies text, in place of what was there. -E2BIG over SECRET_MAX_LEN, -ENOMEM. */
int secret_set(struct secret *s, const char *text, size_t len);

/* Wipes and frees; fine on an unset one. */
void secret_clear(struct secret *s);

/*
 * Takes the secret from a file, or from a pipe until its end, without one trailing newline. On
 * failure the negative errno is returned and *ret_why says in words what is wrong with the file
 * ("is longer than 4096 bytes").
 */
int secret_read_file(struct secret *s, const char *path, const char **ret_why);

/*
 * Takes the secret from the systemd credential of that name (systemd.exec(5), LoadCredential=):
 * the file in $CREDENTIALS_DIRECTORY. -ENOENT when there is no such credential.
 */
int secret_from_credential(struct secret *s, const char *name);

/* Whether every user of the machine can read the file. */
bool secret_file_is_exposed(const char *path);

/*
 * For memory of malloc(3) in which a secret may have been on its way: wipes all of it, then frees.
 * The second is for _cleanup_().
 */
void secret_free(void *memory);
void secret_freep(void *variable);

/* Wipes what calls of others, which are over, have left on the stack below the caller. */
void secret_wipe_stack(void);

/*
 * Overwrites a string of argv or environ, which ps(1) shows to everyone, with a single 'x' and
 * zeros. The kernel keeps the size of the whole argument area, so the room that the string took is
 * still seen.
 */
void secret_hide_arg(char *arg);

#ifdef __cplusplus
}
#endif

#endif

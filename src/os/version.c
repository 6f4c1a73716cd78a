/* SPDX-License-Identifier: MIT */
#include "os/version.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "mhd/etag.h"

int version_of(const void *data, size_t len, char ret_version[VERSION_MAX])
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	if (EVP_Digest(data, len, hash, NULL, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	for (size_t i = 0; 2 * i < VERSION_MAX - 1; i++)
		(void)snprintf(ret_version + 2 * i, 3, "%02x", hash[i]);
	return 0;
}

const char *version_etag(const char *version, char ret_etag[VERSION_ETAG_MAX])
{
	(void)snprintf(ret_etag, VERSION_ETAG_MAX, "\"%s\"", version);
	return ret_etag;
}

bool version_may_go(const char *version, const char *if_match)
{
	char etag[VERSION_ETAG_MAX];

	return !if_match || (version && etag_matches_strongly(if_match,
						*version ? version_etag(version, etag) : "*"));
}

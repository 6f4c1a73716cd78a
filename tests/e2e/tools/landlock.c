/* SPDX-License-Identifier: MIT */
/* In the place of src/os/wall_abi.c: Landlock as of an older kernel. */
#include "os/wall.h"

const unsigned wall_abi_max = ABI;

/* SPDX-License-Identifier: MIT */
/* A file of its own, so that a test's program has another one in its place: no variable and no
 * option that a user might be led to set makes the rules weaker. */
#include "os/wall.h"

const unsigned wall_abi_max = 0;

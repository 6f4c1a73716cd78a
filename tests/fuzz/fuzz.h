/* SPDX-License-Identifier: MIT */
/* What libFuzzer calls (llvm.org/docs/LibFuzzer.html). */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

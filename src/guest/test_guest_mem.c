/* SPDX-License-Identifier: MIT */
/* Bounds, with the addresses and lengths that a hostile guest would try. */
#include "guest/guest_mem.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "base/lang.h"

#define SIZE 1024

static uint8_t memory[SIZE];
static const struct guest_mem mem = { .data = memory, .size = SIZE };

static void test_range(void **state)
{
	static const struct {
		uint32_t address, count;
		size_t size;
		int result;
	} cases[] = {
		{ 0, 0, 1, 0 },
		{ 0, SIZE, 1, 0 },
		{ 0, SIZE / 8, 8, 0 },
		{ SIZE, 0, 8, 0 },
		{ SIZE - 8, 1, 8, 0 },
		{ SIZE - 7, 1, 8, -EFAULT },
		{ SIZE, 1, 1, -EFAULT },
		{ SIZE + 1, 0, 1, -EFAULT },
		{ UINT32_MAX, 0, 1, -EFAULT },
		{ UINT32_MAX, 1, 1, -EFAULT },
		{ UINT32_MAX, UINT32_MAX, 48, -EFAULT },
		/* Sums and products that are small once they have overflowed 32 bits. */
		{ 8, UINT32_MAX - 7, 1, -EFAULT },
		{ 0, 0x20000000, 8, -EFAULT },
		{ 0, 0x20000001, 8, -EFAULT },
		{ 16, 0x1fffffff, 8, -EFAULT },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t *at = NULL;

		assert_int_equal(
			guest_mem_at(&mem, cases[i].address, cases[i].count, cases[i].size, &at),
			cases[i].result);
		assert_ptr_equal(at, cases[i].result == 0 ? memory + cases[i].address : NULL);
	}
}

/* A memory of 4 GiB, of which only the last address is looked at, and none is touched. */
static void test_range_of_all_addresses(void **state)
{
	const struct guest_mem whole = { .data = memory, .size = UINT64_C(1) << 32 };
	uint8_t *at;

	assert_int_equal(guest_mem_at(&whole, UINT32_MAX, 1, 1, &at), 0);
	assert_int_equal(guest_mem_at(&whole, UINT32_MAX, 2, 1, &at), -EFAULT);
	assert_int_equal(guest_mem_at(&whole, 0, 0x20000000, 8, &at), 0);
	assert_int_equal(guest_mem_at(&whole, 8, 0x20000000, 8, &at), -EFAULT);
}

static void put_buffer(unsigned i, uint32_t address, uint32_t len)
{
	guest_store_u32(memory + 8 * (size_t)i, address);
	guest_store_u32(memory + 8 * (size_t)i + 4, len);
}

static void test_vector(void **state)
{
	struct iovec iov[4];
	size_t n = 99;

	put_buffer(0, 100, 20);
	put_buffer(1, SIZE, 0);
	put_buffer(2, SIZE - 1, 1);
	assert_int_equal(guest_mem_iovec(&mem, 0, 3, iov, 4, &n), 0);
	assert_int_equal(n, 2);
	assert_ptr_equal(iov[0].iov_base, memory + 100);
	assert_int_equal(iov[0].iov_len, 20);
	assert_ptr_equal(iov[1].iov_base, memory + SIZE - 1);
	assert_int_equal(guest_mem_iovec(&mem, 0, 0, iov, 4, &n), 0);
	assert_int_equal(n, 0);
}

static void test_vector_is_cut_at_the_cap(void **state)
{
	struct iovec iov[4];
	size_t n;

	for (unsigned i = 0; i < 8; i++)
		put_buffer(i, 100 + i, 1);
	assert_int_equal(guest_mem_iovec(&mem, 0, 8, iov, 4, &n), 0);
	assert_int_equal(n, 4);
	assert_ptr_equal(iov[3].iov_base, memory + 103);
}

static void test_hostile_vector(void **state)
{
	static const struct {
		uint32_t address, len;
	} buffers[] = {
		{ SIZE - 1, 2 },
		{ SIZE + 1, 0 },
		{ UINT32_MAX, UINT32_MAX },
		{ 100, UINT32_MAX - 99 },
		{ 0, UINT32_MAX },
	};
	struct iovec iov[4];
	size_t n = 99;

	for (size_t i = 0; i < ARRAY_LEN(buffers); i++) {
		put_buffer(0, 100, 1);
		put_buffer(1, buffers[i].address, buffers[i].len);
		assert_int_equal(guest_mem_iovec(&mem, 0, 2, iov, 4, &n), -EFAULT);
	}
	assert_int_equal(guest_mem_iovec(&mem, 0, SIZE / 8 + 1, iov, 4, &n), -EFAULT);
	assert_int_equal(guest_mem_iovec(&mem, 0, 0x20000000, iov, 4, &n), -EFAULT);
	assert_int_equal(guest_mem_iovec(&mem, UINT32_MAX, 1, iov, 4, &n), -EFAULT);
	assert_int_equal(n, 99);
}

static void test_little_endian(void **state)
{
	static const uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	assert_int_equal(guest_load_u16(bytes), 0x0201);
	assert_int_equal(guest_load_u32(bytes), 0x04030201);
	assert_true(guest_load_u64(bytes) == UINT64_C(0x0807060504030201));
	guest_store_u16(memory + 1, 0x0201);
	guest_store_u32(memory + 3, 0x06050403);
	assert_memory_equal(memory + 1, bytes, 6);
	guest_store_u64(memory + 1, UINT64_C(0x0807060504030201));
	assert_memory_equal(memory + 1, bytes, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_range_of_all_addresses),
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_vector_is_cut_at_the_cap),
		cmocka_unit_test(test_hostile_vector),
		cmocka_unit_test(test_little_endian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Warm connections against a model. Worlds of one connection each, over which visitors come one
 * after the other: a pump at the relay's end, a pump at the client's, and between them a wire that
 * passes bytes on in pieces of any size and is cut at any byte. What every end does is drawn by
 * lot; TEST_MODEL_SEED repeats a run but for the threads' timing, TEST_MODEL_STREAMS makes it
 * longer.
 *
 * The model: a byte is a function of its visitor, its direction and its offset, so that one which
 * is delivered twice, to somebody else or out of order is seen at once. Who reads the end has read
 * all that was said before it, and it was said. A reset is for streams that somebody has reset or
 * cut. A visitor who was not taken is served in another way, and nobody else has had a byte of his.
 */
#include "net/test_pump_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/sockopt.h"
#include "proto/block.h"

#define WORLDS 8
#define VISITORS 6 /* of a world at most */
#define PREFACE "{\"Visitor\":{}}"
#define PREFACE_LEN sizeof(PREFACE)
#define PIECE_MAX 65536U
#define STREAMS_PER_MODE 200

enum cause { CUT_NOT, CUT_RESET, CUT_FIN, CUT_SILENCE };

/* A visitor, or what stands for the application. */
struct peer {
	int fd;
	uint64_t sent, wanted; /* bytes */
	uint64_t got;
	bool resets; /* when it has sent what it wanted; else it ends in order */
	bool fin_sent, gone;
	bool whole; /* it has read the end */
};

struct world;

struct stream {
	struct world *world;
	uint64_t id;
	struct peer peer[PUMP_SIDES];  /* the visitor, the application */
	struct peer ghost;             /* the application that the client had for one not taken */
	struct pump *pump[PUMP_SIDES]; /* the relay's, the client's */
	uint64_t begin_ms;             /* monotonic */
	bool disturbed;                /* somebody has reset it, or cut it */
	bool alone;                    /* it goes another way: a cut is no reason any more */
};

/* One direction of the wire. */
struct way {
	uint8_t bytes[PIECE_MAX];
	size_t start, end;
	uint64_t passed, cut_at;
	bool eof, failed; /* at its source */
	bool shut, dead;  /* at its sink */
};

struct world {
	struct fixture *fixture;
	uint64_t seed, dice;
	int buffers;
	int wire[2];       /* the wire's ends, towards relay and client; -1: gone */
	struct way way[2]; /* from there */
	enum cause cut, will_cut;
	unsigned silent;              /* rounds */
	int parked;                   /* the relay's: -1 while a pump has it, or it is gone */
	int waiting;                  /* the client's */
	uint8_t heard[2 * PIECE_MAX]; /* by the client, of the next visitor's frame */
	size_t heard_len;
	unsigned count, taken; /* streams that the relay has given, that the client has got */
	unsigned left;         /* visitors to come */
	struct stream streams[VISITORS];
	bool moved;
};

static enum pump_mode model_mode;

static struct {
	unsigned streams, reused, untaken, cut, cut_streams, raw, whole;
} seen;

#define check(w, what)                                                                           \
	do {                                                                                     \
		if (!(what))                                                                     \
			fail_msg("in the world of seed %llu: %s", (unsigned long long)(w)->seed, \
				#what);                                                          \
	} while (0)

/* Where the machine stands still for long enough, TAKEN is late: that is a cut, too. */
static bool is_disturbed(struct stream *s)
{
	s->disturbed |= clock_now_ms() - s->begin_ms >= PUMP_TAKEN_MS;
	return s->disturbed;
}

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15U;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

static uint64_t roll(struct world *w, uint64_t sides)
{
	w->dice++;
	return mix(w->seed * 1000003U + w->dice) % sides;
}

/* Mostly small, sometimes large, never more than `max`. */
static uint64_t roll_size(struct world *w, uint64_t max)
{
	uint64_t most = (uint64_t)1 << roll(w, 24);

	return roll(w, most < max ? most : max) + 1;
}

static void fill(uint64_t id, enum pump_side from, uint64_t offset, uint8_t *data, size_t len)
{
	uint64_t word = 0;

	for (size_t i = 0; i < len; i++, offset++) {
		if (i == 0 || offset % 8 == 0)
			word = mix(id << 32 ^ (uint64_t)from << 63 ^ offset / 8);
		data[i] = (uint8_t)(word >> offset % 8 * 8);
	}
}

/* --- the peers --- */

static void peer_leave(struct peer *p)
{
	p->fd = fd_close(p->fd);
	p->gone = true;
}

static void peer_write(struct stream *s, enum pump_side side)
{
	struct peer *p = &s->peer[side];
	struct world *w = s->world;
	uint8_t data[PIECE_MAX];
	size_t len = roll_size(w, PIECE_MAX);
	ssize_t n;

	if (p->sent < p->wanted) {
		len = (size_t)min_u64(len, p->wanted - p->sent);
		fill(s->id, side, p->sent, data, len);
		n = send(p->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		p->sent += n > 0 ? (uint64_t)n : 0;
		w->moved |= n > 0;
		if (n < 0 && errno != EAGAIN) {
			check(w, is_disturbed(s));
			peer_leave(p);
		}
	} else if (p->resets) {
		s->disturbed = true;
		reset_fd(&p->fd);
		p->gone = w->moved = true;
	} else if (!p->fin_sent) {
		p->fin_sent = w->moved = true;
		if (shutdown(p->fd, SHUT_WR) < 0)
			check(w, is_disturbed(s));
	}
}

static void peer_read(struct stream *s, enum pump_side side)
{
	struct peer *p = &s->peer[side], *source = &s->peer[1 - side];
	struct world *w = s->world;
	uint8_t data[PIECE_MAX], wanted[PIECE_MAX];
	ssize_t n = recv(p->fd, data, roll_size(w, PIECE_MAX), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	w->moved = true;
	if (n > 0) {
		check(w, p->got + (uint64_t)n <= source->sent);
		fill(s->id, 1 - side, p->got, wanted, (size_t)n);
		check(w, memcmp(data, wanted, (size_t)n) == 0);
		p->got += (uint64_t)n;
	} else if (n == 0) {
		check(w, source->fin_sent && p->got == source->sent);
		p->whole = true;
	} else {
		check(w, is_disturbed(s));
		peer_leave(p);
	}
}

static void peer_step(struct stream *s, enum pump_side side)
{
	struct peer *p = &s->peer[side];

	if (p->fd < 0)
		return;
	if (roll(s->world, 2))
		peer_write(s, side);
	if (p->fd >= 0 && !p->whole && roll(s->world, 2))
		peer_read(s, side);
	if (p->fd >= 0 && p->whole && p->fin_sent)
		peer_leave(p);
}

/* It is told nothing. */
static void ghost_step(struct stream *s)
{
	char byte;
	ssize_t n;

	if (s->ghost.fd < 0)
		return;
	n = recv(s->ghost.fd, &byte, 1, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	/* An end with nothing before it is no byte. */
	check(s->world,
		n < 0 || (n == 0 && s->peer[PUMP_OUTER].fin_sent && s->peer[PUMP_OUTER].sent == 0));
	peer_leave(&s->ghost);
}

/* --- streams --- */

static void set_nonblocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void peer_begin(struct world *w, struct peer *p, int *ret_pump)
{
	*p = (struct peer){ .resets = roll(w, 16) == 0 };
	test_tcp_pair(w->buffers, &p->fd, ret_pump);
	set_nonblocking(p->fd);
	p->wanted = roll(w, 4) ? roll_size(w, UINT64_MAX) - 1 : 0;
}

static void on_relay_done(void *owner, const struct pump_result *result);
static void on_client_done(void *owner, const struct pump_result *result);

static void on_alone_done(void *owner, const struct pump_result *result)
{
	struct stream *s = owner;

	(void)result;
	s->pump[PUMP_OUTER] = NULL;
}

static void stream_add(struct stream *s, enum pump_side pump, const struct pump_job *job)
{
	assert_int_equal(pump_pool_add(s->world->fixture->pool, job, &s->pump[pump]), 0);
}

/* The relay gives its connection to the next visitor. */
static void relay_give(struct world *w)
{
	struct stream *s = &w->streams[w->count];
	struct pump_job job = { .wire = { [PUMP_INNER] = PUMP_WIRE_BLOCKS },
		.awaits_taken = true,
		.preface = PREFACE,
		.preface_len = PREFACE_LEN,
		.done = on_relay_done,
		.owner = s };

	*s = (struct stream){
		.world = w, .id = w->seed * VISITORS + w->count, .begin_ms = clock_now_ms()
	};
	s->peer[PUMP_INNER].fd = s->ghost.fd = -1;
	s->disturbed = w->cut != CUT_NOT;
	seen.reused += w->count > 0;
	seen.streams++;
	w->count++;
	w->left--;
	peer_begin(w, &s->peer[PUMP_OUTER], &job.fd[PUMP_OUTER]);
	if (roll(w, 2))
		peer_write(s, PUMP_OUTER);
	job.fd[PUMP_INNER] = take_fd(&w->parked);
	stream_add(s, PUMP_OUTER, &job);
}

/* As a relay announces him to a client: his own connection to an application that knows nothing. */
static void relay_serve_alone(struct stream *s, int fd)
{
	struct pump_job job = { .fd = { fd }, .done = on_alone_done, .owner = s };

	s->ghost = s->peer[PUMP_INNER];
	s->alone = true;
	s->disturbed = s->peer[PUMP_OUTER].gone;
	peer_begin(s->world, &s->peer[PUMP_INNER], &job.fd[PUMP_INNER]);
	stream_add(s, PUMP_OUTER, &job);
	seen.untaken++;
}

static void on_relay_done(void *owner, const struct pump_result *result)
{
	struct stream *s = owner;
	struct world *w = s->world;

	w->moved = true;
	s->pump[PUMP_OUTER] = NULL;
	check(w, result->rest_len == 0);
	if (result->end == PUMP_END_UNTAKEN) {
		check(w, is_disturbed(s));
		check(w, result->bytes[PUMP_OUTER] == 0 && result->bytes[PUMP_INNER] == 0);
		check(w, s->peer[PUMP_OUTER].got == 0 && s->peer[PUMP_INNER].got == 0);
		relay_serve_alone(s, result->fd[PUMP_OUTER]);
	} else if (result->end == PUMP_END_CLOSED) {
		w->parked = result->fd[PUMP_INNER];
		seen.raw += w->parked < 0;
	} else {
		check(w, is_disturbed(s));
	}
}

static void on_client_done(void *owner, const struct pump_result *result)
{
	struct stream *s = owner;
	struct world *w = s->world;

	w->moved = true;
	s->pump[PUMP_INNER] = NULL;
	check(w, result->end != PUMP_END_UNTAKEN);
	/* Later ones may reset the connection, when it has only to wait for its own end. */
	check(w, result->end == PUMP_END_CLOSED || s->alone || w->count > w->taken ||
			 is_disturbed(s));
	w->waiting = result->fd[PUMP_OUTER];
	check(w, result->rest_len <= sizeof(w->heard));
	w->heard_len = result->rest_len;
	if (result->rest_len)
		memcpy(w->heard, result->rest, result->rest_len);
}

/* --- the client, which waits for a visitor --- */

static void client_drop(struct world *w)
{
	w->waiting = fd_close(w->waiting);
	w->moved = true;
}

static void client_take(struct world *w)
{
	static const uint8_t taken[BLOCK_HEAD_LEN] = { BLOCK_TAKEN };
	struct stream *s = &w->streams[w->taken++];
	struct pump_job job = { .fd = { w->waiting },
		.early = { w->heard + PREFACE_LEN },
		.early_len = { w->heard_len - PREFACE_LEN },
		.wire = { [PUMP_OUTER] = PUMP_WIRE_BLOCKS },
		.done = on_client_done,
		.owner = s };

	check(w, memcmp(w->heard, PREFACE, PREFACE_LEN) == 0);
	if (s->alone || roll(w, 30) == 0) {
		/* It is too late for him, or he can't be served. */
		s->disturbed |= !s->alone;
		client_drop(w);
		return;
	}
	peer_begin(w, &s->peer[PUMP_INNER], &job.fd[PUMP_INNER]);
	if (send(w->waiting, taken, sizeof(taken), MSG_NOSIGNAL) < 0)
		check(w, is_disturbed(s));
	sockopt_set_reset(w->waiting);
	w->waiting = -1;
	stream_add(s, PUMP_INNER, &job);
	w->heard_len = 0;
	w->moved = true;
}

static void client_step(struct world *w)
{
	ssize_t n;

	if (w->waiting < 0 || roll(w, 3) == 0)
		return;
	if (w->heard_len >= PREFACE_LEN) {
		client_take(w);
		return;
	}
	n = recv(w->waiting, w->heard + w->heard_len, 512, MSG_DONTWAIT);
	if (n > 0)
		w->heard_len += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		client_drop(w);
	w->moved |= n > 0;
}

/* --- the wire --- */

static void wire_cut(struct world *w)
{
	w->cut = w->will_cut;
	w->moved = true;
	seen.cut++;
	for (unsigned i = 0; i < w->count; i++) {
		struct stream *s = &w->streams[i];
		bool over = !s->pump[PUMP_OUTER] && !s->pump[PUMP_INNER];

		seen.cut_streams += !over;
		s->disturbed |= !over && !s->alone;
	}
	for (int end = 0; end < 2 && w->cut != CUT_SILENCE; end++) {
		if (w->cut == CUT_RESET && w->wire[end] >= 0)
			reset_fd(&w->wire[end]);
		w->wire[end] = fd_close(w->wire[end]);
	}
}

/* The next bytes from one end, in whatever pieces. */
static void way_read(struct world *w, int from)
{
	struct way *way = &w->way[from];
	ssize_t n;

	if (way->start < way->end || way->eof || way->failed || w->wire[from] < 0)
		return;
	n = recv(w->wire[from], way->bytes, roll_size(w, PIECE_MAX), MSG_DONTWAIT);
	way->start = 0;
	way->end = n > 0 ? (size_t)n : 0;
	/* A write that has found the reset has taken it away from the read. */
	way->failed = (n < 0 && errno != EAGAIN) || (n == 0 && w->way[1 - from].dead);
	way->eof = n == 0 && !way->failed;
}

static void way_write(struct world *w, int from)
{
	struct way *way = &w->way[from];
	size_t len = (size_t)min_u64(roll_size(w, PIECE_MAX), way->end - way->start);
	ssize_t n;

	if (w->will_cut && way->cut_at > way->passed)
		len = (size_t)min_u64(len, way->cut_at - way->passed);
	if (len == 0 || w->wire[1 - from] < 0)
		return;
	n = send(w->wire[1 - from], way->bytes + way->start, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	way->dead |= n < 0 && errno != EAGAIN;
	way->start = way->dead ? way->end : way->start + (n > 0 ? (size_t)n : 0);
	way->passed += n > 0 ? (uint64_t)n : 0;
	w->moved |= n > 0;
}

/* A reset overtakes nothing that was acknowledged: as if there were no wire between the two. */
static void way_step(struct world *w, int from)
{
	struct way *way = &w->way[from];
	int *out = &w->wire[1 - from];

	way_read(w, from);
	way_write(w, from);
	if (way->start < way->end || *out < 0)
		return;
	if (way->failed && sockopt_queued(*out) == 0) {
		reset_fd(out);
		if (w->wire[from] >= 0)
			reset_fd(&w->wire[from]);
	} else if (way->eof && !way->shut) {
		way->shut = true;
		(void)shutdown(*out, SHUT_WR);
	}
}

static void wire_step(struct world *w)
{
	for (int from = 0; from < 2; from++) {
		bool due = w->will_cut && w->way[from].passed >= w->way[from].cut_at;

		if (w->cut)
			return;
		if (due)
			wire_cut(w);
		else if (roll(w, 4))
			way_step(w, from);
	}
	if (w->way[0].shut && w->way[1].shut) {
		w->wire[0] = fd_close(w->wire[0]);
		w->wire[1] = fd_close(w->wire[1]);
	}
}

/* --- worlds --- */

static void world_begin(struct world *w, struct fixture *f, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->fixture = f;
	w->seed = seed;
	w->buffers = roll(w, 2) ? 0 : 16384;
	test_tcp_pair(w->buffers, &w->wire[0], &w->parked);
	test_tcp_pair(w->buffers, &w->wire[1], &w->waiting);
	set_nonblocking(w->wire[0]);
	set_nonblocking(w->wire[1]);
	w->left = 1 + (unsigned)roll(w, VISITORS);
	if (roll(w, 2))
		return;
	w->will_cut = CUT_RESET + (unsigned)roll(w, 3);
	/* Behind RAW a FIN is the stream's own, whoever has made it. */
	if (w->will_cut == CUT_FIN && model_mode != PUMP_COPY)
		w->will_cut = CUT_RESET;
	for (int from = 0; from < 2; from++)
		w->way[from].cut_at = roll(w, 2) ? roll(w, 80) : roll_size(w, UINT64_MAX);
}

/* In silence nothing ends by itself: somebody gives up. */
static void world_give_up(struct world *w)
{
	for (unsigned i = 0; i < w->count; i++) {
		for (int end = 0; end < 2; end++) {
			struct stream *s = &w->streams[i];

			if (s->pump[end] && !s->alone)
				pump_abort(w->fixture->pool, s->pump[end]);
		}
	}
	if (w->waiting >= 0)
		client_drop(w);
	w->left = 0;
}

/* Whether it is over. */
static bool world_step(struct world *w)
{
	bool busy = false;

	wire_step(w);
	client_step(w);
	if (w->parked >= 0 && w->left && roll(w, 4) == 0)
		relay_give(w);
	for (unsigned i = 0; i < w->count; i++) {
		struct stream *s = &w->streams[i];

		peer_step(s, PUMP_OUTER);
		peer_step(s, PUMP_INNER);
		ghost_step(s);
		busy |= s->pump[PUMP_OUTER] || s->pump[PUMP_INNER];
	}
	if (w->cut == CUT_SILENCE && ++w->silent > 100 && w->silent % 100 == 0)
		world_give_up(w);
	return !busy && (w->parked < 0 || !w->left);
}

static void world_end(struct world *w)
{
	for (unsigned i = 0; i < w->count; i++) {
		struct stream *s = &w->streams[i];

		/* Where nobody has disturbed it each has had all, to the end. */
		for (int side = 0; side < PUMP_SIDES; side++) {
			while (s->peer[side].fd >= 0)
				peer_step(s, (enum pump_side)side);
			if (!s->disturbed) {
				check(w, s->peer[side].whole);
				check(w, s->peer[side].got == s->peer[1 - side].wanted);
			}
		}
		while (s->ghost.fd >= 0)
			ghost_step(s);
		seen.whole += !s->disturbed;
	}
	for (int end = 0; end < 2; end++)
		w->wire[end] = fd_close(w->wire[end]);
	w->parked = fd_close(w->parked);
	w->waiting = fd_close(w->waiting);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_worlds(void **state)
{
	const struct pump_pool_config config = { .workers = 2, .mode = test_mode(state) };
	uint64_t seed = number_of("TEST_MODEL_SEED", 1);
	uint64_t wanted = number_of("TEST_MODEL_STREAMS", STREAMS_PER_MODE);
	struct world *worlds = calloc(WORLDS, sizeof(*worlds));
	struct fixture *f = fixture_new(&config);

	assert_non_null(worlds);
	uv_timer_stop(&f->deadline);
	memset(&seen, 0, sizeof(seen));
	model_mode = config.mode;
	for (unsigned i = 0; i < WORLDS; i++)
		world_begin(&worlds[i], f, seed++);
	for (unsigned open = WORLDS; open;) {
		bool moved = false;

		open = 0;
		for (unsigned i = 0; i < WORLDS; i++) {
			struct world *w = &worlds[i];

			w->moved = false;
			if (w->fixture && world_step(w)) {
				world_end(w);
				w->fixture = NULL;
				if (seen.streams < wanted)
					world_begin(w, f, seed++);
			}
			open += w->fixture != NULL;
			moved |= w->moved;
		}
		uv_run(&f->loop, UV_RUN_NOWAIT);
		if (!moved)
			sched_yield();
	}
	print_message("%u streams, %u on a used connection, %u whole, %u raw; %u wires cut, under "
		      "%u streams, %u not taken\n",
		seen.streams, seen.reused, seen.whole, seen.raw, seen.cut, seen.cut_streams,
		seen.untaken);
	assert_true(seen.reused && seen.whole && seen.cut_streams && seen.untaken);
	assert_true((seen.raw > 0) >= (config.mode == PUMP_SPLICE));
	fixture_free(f);
	free(worlds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_modes(test_worlds),
	};

	return cmocka_run_group_tests_name("net/pump_model", tests, NULL, NULL);
}

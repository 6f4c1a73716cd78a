/* SPDX-License-Identifier: MIT */
/*
 * An intrusive circular doubly linked list. The head and the links in the elements are the same
 * type; a link that is in no list points to itself, so that removing it twice is harmless. The list
 * owns nothing.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/lang.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

/* Makes a head empty, or a link one that is in no list. */
static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

/* True for an empty head, and for a link that is in no list. */
static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_link(struct list *prev, struct list *link, struct list *next)
{
	link->prev = prev;
	link->next = next;
	prev->next = next->prev = link;
}

static inline void list_push_back(struct list *head, struct list *link)
{
	list_link(head->prev, link, head);
}

static inline void list_push_front(struct list *head, struct list *link)
{
	list_link(head, link, head->next);
}

static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/* Appends all of `from` to `to`, and leaves `from` empty. Both are heads. */
static inline void list_move_all(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* The first link, NULL when the list is empty. */
static inline struct list *list_first(const struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

/* The object of the given type whose link this is. */
#define list_entry(link, type, member) container_of(link, type, member)

#define list_for_each(pos, head) \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

/* The loop's body may remove pos, and nothing else. */
#define list_for_each_safe(pos, head)                                                 \
	for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head); \
		pos = pos##_next, pos##_next = pos->next)

#endif

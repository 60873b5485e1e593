/* A hash table of items that start with a Node; to look one up is to walk through a bucket. */
#ifndef DIMOS_RECORD_TABLE_H
#define DIMOS_RECORD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Node {
    struct Node *next; /* in its bucket */
    uint32_t hash;
} Node;

typedef struct {
    Node **buckets;
    size_t mask, count;
} Table;

bool table_init(Table *self); /* false if there is no memory */
void table_add(Table *self, Node *node, uint32_t hash);
void table_remove(Table *self, Node *node);
void table_clear(Table *self); /* frees every item */

/* The first of those that may have a hash. */
Node *table_bucket(const Table *self, uint32_t hash);

/* All of them, one after the other. */
Node *table_first(const Table *self);
Node *table_after(const Table *self, const Node *node);

uint32_t hash_bytes(const void *bytes, size_t size);

#endif

#include "table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 64

bool table_init(Table *self) {
    self->count = 0;
    self->mask = FIRST_BUCKETS - 1;
    self->buckets = calloc(FIRST_BUCKETS, sizeof *self->buckets);
    return self->buckets != NULL;
}

Node *table_bucket(const Table *self, uint32_t hash) {
    return self->buckets[hash & self->mask];
}

static Node *first_from(const Table *self, size_t bucket) {
    for (; self->buckets && bucket <= self->mask; bucket++)
        if (self->buckets[bucket]) return self->buckets[bucket];
    return NULL;
}

Node *table_first(const Table *self) {
    return first_from(self, 0);
}

Node *table_after(const Table *self, const Node *node) {
    return node->next ? node->next : first_from(self, (node->hash & self->mask) + 1);
}

/* Twice as many buckets; where there is no memory for them the chains get longer. */
static void grow(Table *self) {
    size_t mask = self->mask * 2 + 1;
    Node **buckets = calloc(mask + 1, sizeof *buckets);
    if (!buckets) return;
    for (size_t i = 0; i <= self->mask; i++)
        for (Node *node = self->buckets[i], *next; node; node = next) {
            next = node->next;
            node->next = buckets[node->hash & mask];
            buckets[node->hash & mask] = node;
        }
    free(self->buckets);
    self->buckets = buckets;
    self->mask = mask;
}

void table_add(Table *self, Node *node, uint32_t hash) {
    if (self->count > self->mask) grow(self);
    Node **bucket = &self->buckets[hash & self->mask];
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    self->count++;
}

void table_remove(Table *self, Node *node) {
    Node **place = &self->buckets[node->hash & self->mask];
    while (*place != node) place = &(*place)->next;
    *place = node->next;
    self->count--;
}

void table_clear(Table *self) {
    for (Node *node = table_first(self), *next; node; node = next) {
        next = table_after(self, node);
        free(node);
    }
    free(self->buckets);
    memset(self, 0, sizeof *self);
}

uint32_t hash_bytes(const void *bytes, size_t size) { /* FNV-1a */
    const uint8_t *p = bytes;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ p[i]) * 16777619u;
    return hash ^ (hash >> 15);
}

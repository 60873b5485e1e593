#include "python.h"

#include <arpa/inet.h>

static PyObject *channel_name(Channel *channel) {
    PyObject *name = channel->user;
    if (!name) {
        name = PyUnicode_DecodeUTF8(channel->name, channel->size, NULL);
        if (!channel->transient) channel->user = name;
    }
    if (!channel->transient) Py_XINCREF(name);
    return name;
}

static PyObject *message_tuple(const Record *record) {
    PyObject *items[] = {
        PyLong_FromLongLong(record->arrival_ns),
        channel_name(record->channel),
        PyBytes_FromStringAndSize((const char *)record->data, (Py_ssize_t)record->size),
    };
    PyObject *message = items[0] && items[1] && items[2] ? PyTuple_New(3) : NULL;
    for (Py_ssize_t i = 0; i < 3; i++) {
        if (message)
            PyTuple_SetItem(message, i, items[i]);
        else
            Py_XDECREF(items[i]);
    }
    return message;
}

/* The next message, NULL if there is none. */
static Record *next_record(Taking *self) {
    while (self->blocks) {
        Record *record = block_next(self->blocks);
        if (record) return record;
        Block *block = self->blocks;
        self->blocks = block->next;
        block->next = self->done;
        self->done = block;
    }
    return NULL;
}

/* Append a message, and its channel if that is new; false on an error. */
static bool append(PyObject *messages, PyObject *channels, const Record *record) {
    PyObject *message = message_tuple(record);
    bool is_appended = message && PyList_Append(messages, message) == 0;
    if (is_appended && !record->channel->announced) {
        record->channel->announced = true;
        is_appended = PyList_Append(channels, PyTuple_GetItem(message, 1)) == 0;
    }
    Py_XDECREF(message);
    return is_appended;
}

PyObject *take_lists(Taking *self, Py_ssize_t max_messages, Py_ssize_t max_bytes) {
    PyObject *messages = PyList_New(0), *channels = PyList_New(0);
    Py_ssize_t bytes = 0;
    bool is_fine = messages && channels;
    while (is_fine && max_messages > 0 && bytes < max_bytes) {
        Record *record = next_record(self);
        if (!record) break;
        if (!record->channel->ignored) {
            is_fine = append(messages, channels, record);
            max_messages--;
            bytes += record->size;
        }
        self->bytes += record_span(record->size);
        self->messages++;
        channel_release(record->channel);
    }
    PyObject *both = is_fine ? PyTuple_Pack(2, messages, channels) : NULL;
    Py_XDECREF(messages);
    Py_XDECREF(channels);
    return both;
}

void return_blocks(Taking *self, Queue *queue) {
    for (Block *block = self->done, *next; block; block = next) {
        next = block->next;
        queue_taken(queue, 0, block);
    }
    queue_taken(queue, self->bytes, NULL);
    self->done = NULL;
    self->bytes = 0;
}

static PyObject *losses_dict(const Report *report, const SenderReport *sender, bool only_dropped) {
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict && i < sender->losses; i++) {
        const Loss *loss = &report->losses[sender->first_loss + i];
        uint64_t losses = only_dropped ? loss->dropped : loss->count;
        if (losses == 0) continue;
        PyObject *name = channel_name(loss->channel);
        PyObject *before = name ? PyDict_GetItemWithError(dict, name) : NULL;
        uint64_t sum = losses + (before ? PyLong_AsUnsignedLongLong(before) : 0);
        PyObject *count = PyLong_FromUnsignedLongLong(sum);
        if (!name || !count || PyDict_SetItem(dict, name, count) < 0) Py_CLEAR(dict);
        Py_XDECREF(name);
        Py_XDECREF(count);
    }
    return dict;
}

static PyObject *sender_tuple(const Report *report, const SenderReport *sender, bool only_dropped) {
    char address[INET_ADDRSTRLEN + sizeof ":65535"];
    if (!inet_ntop(AF_INET, &sender->address, address, INET_ADDRSTRLEN))
        return PyErr_SetFromErrno(PyExc_OSError);
    size_t size = strlen(address);
    PyOS_snprintf(address + size, sizeof address - size, ":%d", ntohs(sender->port));
    PyObject *losses = losses_dict(report, sender, only_dropped);
    if (!losses) return NULL;
    if (only_dropped) return Py_BuildValue("sN", address, losses);
    return Py_BuildValue("sKKN", address, (unsigned long long)sender->received,
                         (unsigned long long)sender->lost, losses);
}

PyObject *report_list(const Report *report, bool only_dropped) {
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < report->count; i++) {
        PyObject *row = sender_tuple(report, &report->senders[i], only_dropped);
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

PyObject *new_object(PyTypeObject *type) {
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return allocate(type, 0);
}

void free_object(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

void forget_object(void *object) {
    Py_DECREF((PyObject *)object);
}

int parse_address(PyObject *text, void *address) {
    const char *dotted = PyUnicode_AsUTF8AndSize(text, NULL);
    if (!dotted) return 0;
    if (inet_pton(AF_INET, dotted, address) == 1) return 1;
    PyErr_Format(PyExc_ValueError, "%R is not an IPv4 address", text);
    return 0;
}

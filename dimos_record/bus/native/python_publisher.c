/* The class Publisher: see `publisher.h`. */
#include "publisher.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "python.h"

typedef struct {
    PyObject_HEAD
    Publisher publisher;
    unsigned generation;
} PublisherObject;

static void dealloc(PublisherObject *self) {
    if (self->generation != process_generation) pthread_mutex_init(&self->publisher.lock, NULL);
    publisher_close(&self->publisher);
    publisher_clear(&self->publisher);
    free_object((PyObject *)self);
}

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"address", "port", "ttl", NULL};
    uint32_t address;
    int port, ttl;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&ii:Publisher", names, parse_address, &address,
                                     &port, &ttl))
        return NULL;
    PublisherObject *self = (PublisherObject *)new_object(type);
    if (!self) return NULL;
    self->generation = process_generation;
    int error = publisher_open(&self->publisher, address, htons((uint16_t)port), ttl);
    if (!error) return (PyObject *)self;
    Py_DECREF(self);
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *send_messages(PublisherObject *self, const Outgoing *messages, size_t count) {
    int error = 0;
    if (self->generation != process_generation) {
        self->generation = process_generation;
        error = publisher_reopen(&self->publisher);
    }
    if (!error) {
        Py_BEGIN_ALLOW_THREADS
        error = publisher_send(&self->publisher, messages, count);
        Py_END_ALLOW_THREADS
    }
    if (!error) Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static bool parse_message(PyObject *channel, PyObject *data, Outgoing *message) {
    Py_ssize_t name_size, size;
    char *bytes;
    message->name = PyUnicode_AsUTF8AndSize(channel, &name_size);
    if (!message->name || PyBytes_AsStringAndSize(data, &bytes, &size) < 0) return false;
    if (name_size < 1 || name_size > LCM_MAX_CHANNEL ||
        strlen(message->name) != (size_t)name_size) {
        PyErr_Format(PyExc_ValueError, "%R cannot be the name of an LCM channel", channel);
        return false;
    }
    if ((size_t)size > LCM_MAX_MESSAGE) {
        PyErr_Format(PyExc_ValueError, "%zd bytes are too many for an LCM message", size);
        return false;
    }
    message->name_size = (size_t)name_size;
    message->data = (const uint8_t *)bytes;
    message->size = (size_t)size;
    return true;
}

static PyObject *send_one(PublisherObject *self, PyObject *args) {
    PyObject *channel, *data;
    Outgoing message;
    if (!PyArg_UnpackTuple(args, "send", 2, 2, &channel, &data) ||
        !parse_message(channel, data, &message))
        return NULL;
    return send_messages(self, &message, 1);
}

/* Parse a tuple of (channel, data), which nobody else can change. */
static bool parse_messages(PyObject *tuple, Outgoing *messages, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyTuple_GetItem(tuple, i);
        if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
            PyErr_SetString(PyExc_TypeError, "a message is a tuple: (channel, data)");
            return false;
        }
        if (!parse_message(PyTuple_GetItem(pair, 0), PyTuple_GetItem(pair, 1), &messages[i]))
            return false;
    }
    return true;
}

static PyObject *send_all(PublisherObject *self, PyObject *messages) {
    PyObject *tuple = PySequence_Tuple(messages), *result = NULL;
    if (!tuple) return NULL;
    Py_ssize_t count = PyTuple_Size(tuple);
    Outgoing *parsed = calloc((size_t)count + 1, sizeof *parsed);
    if (!parsed)
        PyErr_NoMemory();
    else if (parse_messages(tuple, parsed, count))
        result = send_messages(self, parsed, (size_t)count);
    free(parsed);
    Py_DECREF(tuple);
    return result;
}

static PyObject *close_method(PublisherObject *self, PyObject *unused) {
    (void)unused;
    if (self->generation != process_generation) {
        self->generation = process_generation;
        pthread_mutex_init(&self->publisher.lock, NULL);
    }
    publisher_close(&self->publisher);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"send", (PyCFunction)send_one, METH_VARARGS,
     "send(channel: str, data: bytes)\n--\n\nSend one message. OSError: it was not sent."},
    {"send_all", (PyCFunction)send_all, METH_O,
     "send_all(messages)\n--\n\n"
     "Send messages, tuples (channel: str, data: bytes), in order, in few calls of the kernel."},
    {"close", (PyCFunction)close_method, METH_NOARGS,
     "close()\n--\n\nClose the socket. Closing twice is harmless."},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Publisher(address: str, port: int, ttl: int)\n--\n\nSends LCM messages."},
    {Py_tp_new, new},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {0},
};

PyType_Spec publisher_spec = {
    .name = "dimos_record.bus._lcm_native.Publisher",
    .basicsize = sizeof(PublisherObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

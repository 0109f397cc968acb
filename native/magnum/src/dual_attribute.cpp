// Plain CPython, no pybind11: there is nothing to convert here.
#include "dual_attribute.hpp"

namespace {

struct Dual {
    PyObject_HEAD PyObject* on_class;
    PyObject* on_instance;
};

Dual* dual(PyObject* self) { return reinterpret_cast<Dual*>(self); }

PyObject* get(PyObject* self, PyObject* object, PyObject* type) {
    if (!object || object == Py_None) return Py_NewRef(dual(self)->on_class);
    PyObject* target = dual(self)->on_instance;
    return Py_TYPE(target)->tp_descr_get(target, object, type);
}

int set(PyObject* self, PyObject* object, PyObject* value) {
    PyObject* target = dual(self)->on_instance;
    const descrsetfunc function = Py_TYPE(target)->tp_descr_set;
    if (function) return function(target, object, value);
    PyErr_SetString(PyExc_AttributeError, "a method can't be assigned to");
    return -1;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(dual(self)->on_class);
    Py_VISIT(dual(self)->on_instance);
    return 0;
}

void dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(dual(self)->on_class);
    Py_XDECREF(dual(self)->on_instance);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

PyTypeObject* type() {
    static PyType_Slot slots[] = {
        {Py_tp_descr_get, reinterpret_cast<void*>(get)},
        {Py_tp_descr_set, reinterpret_cast<void*>(set)},
        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
        {0, nullptr},
    };
    static PyType_Spec spec{"magnum.DualAttribute", sizeof(Dual), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};
    static PyObject* const created = PyType_FromSpec(&spec);
    return reinterpret_cast<PyTypeObject*>(created);
}

}  // namespace

int dual_attribute::define(PyObject* cls, const char* name, PyObject* on_class, PyObject* on_instance) {
    if (!type()) return -1;
    Dual* created = PyObject_GC_New(Dual, type());
    if (!created) return -1;
    created->on_class = Py_NewRef(on_class);
    created->on_instance = Py_NewRef(on_instance);
    PyObject_GC_Track(created);
    const int done = PyObject_SetAttrString(cls, name, reinterpret_cast<PyObject*>(created));
    Py_DECREF(created);
    return done;
}

#include "dual_attribute.hpp"

#include <structmember.h>

#include <cstddef>

namespace py = pybind11;

namespace {

struct Dual {
    PyObject_HEAD
    PyObject* on_class;
    PyObject* on_instance;
};

Dual* dual(PyObject* self) { return reinterpret_cast<Dual*>(self); }

PyObject* get(PyObject* self, PyObject* object, PyObject* type) {
    if (!object || object == Py_None) {
        Py_INCREF(dual(self)->on_class);
        return dual(self)->on_class;
    }
    PyObject* target = dual(self)->on_instance;
    return Py_TYPE(target)->tp_descr_get(target, object, type);
}

int set(PyObject* self, PyObject* object, PyObject* value) {
    PyObject* target = dual(self)->on_instance;
    const descrsetfunc function = Py_TYPE(target)->tp_descr_set;
    if (!function) {
        PyErr_SetString(PyExc_AttributeError, "a method can't be assigned to");
        return -1;
    }
    return function(target, object, value);
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
    static PyTypeObject* const created = [] {
        static PyType_Slot slots[] = {
            {Py_tp_descr_get, reinterpret_cast<void*>(get)},     {Py_tp_descr_set, reinterpret_cast<void*>(set)},
            {Py_tp_traverse, reinterpret_cast<void*>(traverse)}, {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
            {0, nullptr},
        };
        static PyType_Spec spec{"magnum._magnum.DualAttribute", sizeof(Dual), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};
        PyObject* out = PyType_FromSpec(&spec);
        if (!out) throw py::error_already_set();
        return reinterpret_cast<PyTypeObject*>(out);
    }();
    return created;
}

}  // namespace

void dual_attribute::define(py::handle cls, const char* name, py::object on_class, py::object on_instance) {
    Dual* created = PyObject_GC_New(Dual, type());
    if (!created) throw py::error_already_set();
    created->on_class = on_class.release().ptr();
    created->on_instance = on_instance.release().ptr();
    PyObject_GC_Track(created);
    py::setattr(cls, name, py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(created)));
}

#include <pybind11/operators.h>

#include "bindings.hpp"
#include "convert.hpp"
#include "format.hpp"

namespace {

using namespace Magnum::Math;

template <class U> py::class_<U> bind(py::module_& m, const char* name, const char* doc) {
    typedef typename U::Scalar T;
    py::class_<U> cls(m, name, doc);
    cls.def(py::init<>())
        .def(py::init<const U&>())
        .def(py::init([](T value) { return U(value); }), py::arg("value"))
        .def_static("zero_init", [] { return U(); })
        .def("__float__", [](U a) { return double(a.value()); })
        .def("__neg__", [](U a) { return U(-a.value()); })
        .def("__abs__", [](U a) { return U(std::abs(a.value())); })
        .def(
            "__add__", [](U a, U b) { return U(a.value() + b.value()); }, py::is_operator())
        .def(
            "__sub__", [](U a, U b) { return U(a.value() - b.value()); }, py::is_operator())
        .def(
            "__mul__", [](U a, T s) { return U(a.value() * s); }, py::is_operator())
        .def(
            "__rmul__", [](U a, T s) { return U(s * a.value()); }, py::is_operator())
        .def(
            "__truediv__", [](U a, U b) { return a.value() / b.value(); }, py::is_operator())
        .def(
            "__truediv__", [](U a, T s) { return U(a.value() / s); }, py::is_operator())
        .def(
            "__eq__", [](U a, U b) { return equal(a.value(), b.value()); }, py::is_operator())
        .def(
            "__ne__", [](U a, U b) { return !equal(a.value(), b.value()); }, py::is_operator())
        .def(
            "__lt__", [](U a, U b) { return a.value() < b.value(); }, py::is_operator())
        .def(
            "__le__", [](U a, U b) { return a.value() <= b.value(); }, py::is_operator())
        .def(
            "__gt__", [](U a, U b) { return a.value() > b.value(); }, py::is_operator())
        .def(
            "__ge__", [](U a, U b) { return a.value() >= b.value(); }, py::is_operator())
        .def("__repr__", [name](U a) {
            std::ostringstream out;
            out << name << '(' << a.value() << ')';
            return out.str();
        });
    convert::copyable(cls);
    return cls;
}

template <class A, class B> void convertible(py::class_<A>& a, py::class_<B>& b) {
    a.def(py::init([](B other) { return A(other); }), py::arg("other"));
    b.def(py::init([](A other) { return B(other); }), py::arg("other"));
    py::implicitly_convertible<A, B>();
    py::implicitly_convertible<B, A>();
}

}  // namespace

void bindings::angles(py::module_& m) {
    auto rad = bind<Rad<double>>(m, "Rad", "Angle in radians");
    auto deg = bind<Deg<double>>(m, "Deg", "Angle in degrees");
    // The simulator hands out single-precision angles in a few places (light cones, for one).
    auto rad_single = bind<Rad<float>>(m, "Radf", "Angle in radians, in single precision");
    convertible(rad, deg);
    convertible(rad_single, rad);
    convertible(rad_single, deg);
}

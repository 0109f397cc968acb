#include "bindings.hpp"
#include "convert.hpp"
#include "format.hpp"

namespace {

using namespace Magnum::Math;

template <class T> void require_normalized(const Quaternion<T>& q) {
    if (!q.is_normalized())
        throw py::value_error("the quaternion must be normalized: " + std::to_string(q.length()) + " long");
}

template <class T> py::class_<Quaternion<T>> bind(py::module_& m, const char* name) {
    typedef Quaternion<T> Q;
    typedef Vector3<T> V;
    py::class_<Q> cls(m, name, "Quaternion: vector part, then scalar part");
    cls.def(py::init<>())
        .def(py::init<const Q&>())
        .def(py::init([](const V& v) { return Q(v, T(0)); }), py::arg("vector"))
        .def(py::init<const V&, T>(), py::arg("vector"), py::arg("scalar"))
        .def(py::init([](std::pair<V, T> parts) { return Q(parts.first, parts.second); }), py::arg("parts"))
        .def_static("identity_init", [] { return Q(); })
        .def_static("zero_init", [] { return Q(V(), T(0)); })
        .def_static(
            "rotation",
            [](Rad<double> angle, const V& axis) {
                if (!is_unit(dot(axis, axis))) throw py::value_error("the axis of a rotation must have unit length");
                return Q::rotation(Rad<T>(angle), axis);
            },
            py::arg("angle"), py::arg("normalized_axis"))
        .def_static(
            "rotation",
            [](const V& from, const V& to) {
                const T cosine = dot(from, to);
                if (cosine > T(-1) + epsilon<T>()) return Q(cross(from, to), T(1) + cosine).normalized();
                // Opposite directions: half a turn about any axis across them.
                const V across = std::abs(from[0]) < T(0.9) ? V(T(1), T(0), T(0)) : V(T(0), T(1), T(0));
                return Q(normalized(cross(from, across)), T(0));
            },
            py::arg("normalized_from"), py::arg("normalized_to"))
        .def_static(
            "from_matrix",
            [](const Matrix<3, T>& m) {
                Matrix<3, T> unused;
                if (!is_orthogonal(m) || invert(m, unused) < T(0))
                    throw py::value_error("not a rotation matrix: it scales, shears or mirrors");
                return Q::from_matrix(m);
            },
            py::arg("matrix"))
        .def_property(
            "vector", [](const Q& q) { return q.vector(); }, [](Q& q, const V& v) { q.vector() = v; })
        .def_property(
            "scalar", [](const Q& q) { return q.scalar(); }, [](Q& q, T s) { q.scalar() = s; })
        .def_property_readonly("xyzw", [](const Q& q) { return Vector4<T>(q.vector(), q.scalar()); })
        .def_property_readonly(
            "wxyz", [](const Q& q) { return Vector4<T>(q.scalar(), q.vector()[0], q.vector()[1], q.vector()[2]); })
        .def("is_normalized", &Q::is_normalized)
        .def("angle",
             [](const Q& q) {
                 require_normalized(q);
                 return Rad<double>(2 * std::acos(std::min(std::max(double(q.scalar()), -1.0), 1.0)));
             })
        .def(
            "axis",
            [](const Q& q) {
                require_normalized(q);
                return q.vector() * (T(1) / std::sqrt(T(1) - q.scalar() * q.scalar()));
            },
            "Unit axis; NaN for the identity, which has none")
        .def("to_matrix", &Q::to_matrix)
        .def("dot", [](const Q& q) { return q.dot(q); })
        .def("length", &Q::length)
        .def("normalized", &Q::normalized)
        .def("conjugated", &Q::conjugated)
        .def("inverted", &Q::inverted)
        .def("inverted_normalized",
             [](const Q& q) {
                 require_normalized(q);
                 return q.conjugated();
             })
        .def("transform_vector", &Q::transform_vector, py::arg("vector"))
        .def(
            "transform_vector_normalized",
            [](const Q& q, const V& v) {
                require_normalized(q);
                return q.transform_vector_normalized(v);
            },
            py::arg("vector"))
        .def("__neg__", [](const Q& q) { return q * T(-1); })
        .def(
            "__add__", [](const Q& a, const Q& b) { return a + b; }, py::is_operator())
        .def(
            "__sub__", [](const Q& a, const Q& b) { return a - b; }, py::is_operator())
        .def(
            "__mul__", [](const Q& a, const Q& b) { return a * b; }, py::is_operator())
        .def(
            "__mul__", [](const Q& a, T s) { return a * s; }, py::is_operator())
        .def(
            "__rmul__", [](const Q& a, T s) { return a * s; }, py::is_operator())
        .def(
            "__truediv__", [](const Q& a, T s) { return a * (T(1) / s); }, py::is_operator())
        .def(
            "__eq__",
            [](const Q& a, const Q& b) {
                return vectors_equal(a.vector(), b.vector()) && equal(a.scalar(), b.scalar());
            },
            py::is_operator())
        .def(
            "__ne__",
            [](const Q& a, const Q& b) {
                return !(vectors_equal(a.vector(), b.vector()) && equal(a.scalar(), b.scalar()));
            },
            py::is_operator())
        .def("__repr__", [](const Q& q) {
            std::ostringstream out;
            out << "Quaternion({" << format::joined(q.vector(), 3) << "}, " << q.scalar() << ')';
            return out.str();
        });
    convert::copyable(cls);
    return cls;
}

}  // namespace

void bindings::quaternions(py::module_& m) {
    auto single = bind<float>(m, "Quaternion");
    auto wide = bind<double>(m, "Quaterniond");
    single.def(py::init([](const Quaternion<double>& other) { return Quaternion<float>(other); }), py::arg("other"));
    wide.def(py::init([](const Quaternion<float>& other) { return Quaternion<double>(other); }), py::arg("other"));
}

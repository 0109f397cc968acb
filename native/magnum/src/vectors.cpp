#include "bindings.hpp"
#include "convert.hpp"
#include "vector_binding.hpp"

namespace {

using namespace Magnum::Math;
using binding::arithmetic;
using binding::constructible;

constexpr const char* Axes = "xyzw";
constexpr const char* Channels = "rgba";

std::size_t checked_index(Py_ssize_t i, std::size_t size) {
    if (i < 0) i += Py_ssize_t(size);
    if (i < 0 || std::size_t(i) >= size) throw py::index_error("vector has " + std::to_string(size) + " components");
    return std::size_t(i);
}

template <class V, std::size_t i> void component(py::class_<V>& cls, const char* name) {
    typedef typename V::Scalar T;
    cls.def_property(name, [](const V& v) { return v[i]; }, [](V& v, T value) { v[i] = value; });
}

/// The first N components as one vector, readable and writable.
template <class V, class Part> void leading(py::class_<V>& cls, const char* name) {
    cls.def_property(
        name,
        [](const V& v) {
            Part out;
            for (std::size_t i = 0; i < Part::Size; ++i) out[i] = v[i];
            return out;
        },
        [](V& v, const Part& part) {
            for (std::size_t i = 0; i < Part::Size; ++i) v[i] = part[i];
        });
}

/// `vector.zxy`, `color.bgr`: any two to four components by name.
template <class V> py::object swizzle(const V& v, const std::string& name) {
    typedef typename V::Scalar T;
    T out[4]{};
    const std::size_t count = name.size();
    bool known = count >= 2 && count <= 4;
    for (std::size_t i = 0; known && i < count; ++i) {
        const char* at = std::strchr(Axes, name[i]);
        std::size_t index = at ? at - Axes : 4;
        if (!at && (at = std::strchr(Channels, name[i]))) index = at - Channels;
        known = index < V::Size;
        if (known) out[i] = v[index];
    }
    if (!known) throw py::attribute_error("vector has no attribute '" + name + "'");
    if (count == 2) return py::cast(Vector2<T>(out[0], out[1]));
    if (count == 3) return py::cast(Vector3<T>(out[0], out[1], out[2]));
    return py::cast(Vector4<T>(out[0], out[1], out[2], out[3]));
}

template <class V> py::class_<V> bind(py::module_& m, const char* name, const char* doc) {
    typedef typename V::Scalar T;
    py::class_<V> cls(m, name, py::buffer_protocol(), doc);
    constructible(cls);
    if constexpr (V::Size == 4)
        cls.def(py::init<T, T, T, T>(), py::arg("x"), py::arg("y"), py::arg("z"), py::arg("w"))
            .def(py::init<const Vector3<T>&, T>(), py::arg("xyz"), py::arg("w"));

    component<V, 0>(cls, "x");
    component<V, 1>(cls, "y");
    if constexpr (V::Size > 2) component<V, 2>(cls, "z"), leading<V, Vector2<T>>(cls, "xy");
    if constexpr (V::Size > 3) component<V, 3>(cls, "w"), leading<V, Vector3<T>>(cls, "xyz");

    arithmetic(cls);
    cls.def_buffer([](V& v) { return py::buffer_info(v.data(), Py_ssize_t(V::Size)); })
        .def("__len__", [](const V&) { return V::Size; })
        .def("__getitem__", [](const V& v, Py_ssize_t i) { return v[checked_index(i, V::Size)]; })
        .def("__setitem__", [](V& v, Py_ssize_t i, T value) { v[checked_index(i, V::Size)] = value; })
        .def("__getattr__", swizzle<V>)
        .def(
            "__eq__", [](const V& a, const V& b) { return vectors_equal(a, b); }, py::is_operator())
        .def(
            "__ne__", [](const V& a, const V& b) { return !vectors_equal(a, b); }, py::is_operator())
        .def(
            "dot", [](const V& v) { return dot(v, v); }, "Squared length")
        .def("is_zero", [](const V& v) { return vectors_equal(v, V()); })
        .def("sum", [](const V& v) { return dot(v, V(T(1))); })
        .def("product",
             [](const V& v) {
                 T out = T(1);
                 for (std::size_t i = 0; i < V::Size; ++i) out *= v[i];
                 return out;
             })
        .def("min", [](const V& v) { return *std::min_element(v.data(), v.data() + V::Size); })
        .def("max", [](const V& v) { return *std::max_element(v.data(), v.data() + V::Size); })
        .def("minmax",
             [](const V& v) {
                 const auto found = std::minmax_element(v.data(), v.data() + V::Size);
                 return py::make_tuple(*found.first, *found.second);
             })
        .def("flipped", [](V v) { return std::reverse(v.data(), v.data() + V::Size), v; });
    if constexpr (std::is_floating_point_v<T>)
        cls.def("length", [](const V& v) { return length(v); })
            .def("length_inverted", [](const V& v) { return T(1) / length(v); })
            .def("is_normalized", [](const V& v) { return is_unit(dot(v, v)); });

    if constexpr (V::Size < 4) {
        const char* axes[] = {"x_axis", "y_axis", "z_axis"};
        const char* scales[] = {"x_scale", "y_scale", "z_scale"};
        for (std::size_t axis = 0; axis < V::Size; ++axis) {
            cls.def_static(
                axes[axis],
                [axis](T length_) {
                    V v;
                    v[axis] = length_;
                    return v;
                },
                py::arg("length") = T(1));
            cls.def_static(
                scales[axis],
                [axis](T scale) {
                    V v(T(1));
                    v[axis] = scale;
                    return v;
                },
                py::arg("scale"));
        }
    }
    convert::implicitly_convertible<V>();
    convert::copyable(cls);
    return cls;
}

/// Explicit conversion between scalar types: Vector3d(Vector3(1, 2, 3)). Of vectors only: an array of floats must not
/// become a float vector on its way to an integer one.
template <template <class> class V, class To, class... From> void convertible_from(py::class_<V<To>>& cls) {
    (cls.def(py::init([](const V<From>& other) { return V<To>(other); }), py::arg("other").noconvert()), ...);
}

template <template <class> class V> void bind_family(py::module_& m, const std::string& name) {
    typedef Magnum::Int Int;
    typedef Magnum::UnsignedInt UInt;
    auto f = bind<V<float>>(m, name.c_str(), "Vector of single-precision floats");
    auto d = bind<V<double>>(m, (name + "d").c_str(), "Vector of double-precision floats");
    auto i = bind<V<Int>>(m, (name + "i").c_str(), "Vector of 32-bit signed integers");
    auto u = bind<V<UInt>>(m, (name + "ui").c_str(), "Vector of 32-bit unsigned integers");
    convertible_from<V, float, double, Int, UInt>(f);
    convertible_from<V, double, float, Int, UInt>(d);
    convertible_from<V, Int, float, double, UInt>(i);
    convertible_from<V, UInt, float, double, Int>(u);
}

}  // namespace

void bindings::vectors(py::module_& m) {
    bind_family<Vector2>(m, "Vector2");
    bind_family<Vector3>(m, "Vector3");
    bind_family<Vector4>(m, "Vector4");
    // The simulator's colour maps are made of these.
    bind<Vector3<Magnum::UnsignedByte>>(m, "Vector3ub", "Vector of bytes");
}

#include "bindings.hpp"
#include "convert.hpp"
#include "format.hpp"

namespace {

using namespace Magnum::Math;

/// One corner of a range: bit i of `which` takes the maximum on axis i.
template <class R> typename R::VectorType corner(const R& r, unsigned which) {
    typename R::VectorType out;
    for (std::size_t i = 0; i < R::Dimensions; ++i) out[i] = (which >> i & 1 ? r.max() : r.min())[i];
    return out;
}

template <class R> bool overlap(const R& a, const R& b) {
    for (std::size_t i = 0; i < R::Dimensions; ++i)
        if (!(a.min()[i] < b.max()[i] && b.min()[i] < a.max()[i])) return false;
    return true;
}

template <class R> typename R::VectorType size(const R& r) { return r.max() - r.min(); }

template <class R> typename R::VectorType center(const R& r) {
    typedef typename R::VectorType::Scalar T;
    return map(r.min() + r.max(), [](T x) { return x / T(2); });
}

template <class R> void bind(py::module_& m, const char* name) {
    typedef typename R::VectorType V;
    typedef typename V::Scalar T;
    py::class_<R> cls(m, name, "Axis-aligned range, its maximum excluded");
    cls.def(py::init<>())
        .def(py::init<const R&>())
        .def(py::init<const V&, const V&>(), py::arg("min"), py::arg("max"))
        .def(py::init([](std::pair<V, V> ends) { return R(ends.first, ends.second); }), py::arg("ends"))
        .def_static("zero_init", [] { return R(); })
        .def_static(
            "from_size", [](const V& min, const V& size_) { return R(min, min + size_); }, py::arg("min"),
            py::arg("size"))
        .def_static(
            "from_center", [](const V& center_, const V& half) { return R(center_ - half, center_ + half); },
            py::arg("center"), py::arg("half_size"))
        .def_property(
            "min", [](const R& r) { return r.min(); }, [](R& r, const V& v) { r.min() = v; })
        .def_property(
            "max", [](const R& r) { return r.max(); }, [](R& r, const V& v) { r.max() = v; })
        .def("size", size<R>)
        .def("center", center<R>)
        .def(
            "translated", [](const R& r, const V& by) { return R(r.min() + by, r.max() + by); }, py::arg("vector"))
        .def(
            "padded", [](const R& r, const V& by) { return R(r.min() - by, r.max() + by); }, py::arg("padding"))
        .def(
            "scaled",
            [](const R& r, const V& by) {
                auto times = [](T a, T b) { return a * b; };
                return R(map(r.min(), by, times), map(r.max(), by, times));
            },
            py::arg("scaling"))
        .def(
            "contains",
            [](const R& r, const V& v) {
                for (std::size_t i = 0; i < V::Size; ++i)
                    if (!(v[i] >= r.min()[i] && v[i] < r.max()[i])) return false;
                return true;
            },
            py::arg("point"))
        .def(
            "contains",
            [](const R& a, const R& b) {
                for (std::size_t i = 0; i < V::Size; ++i)
                    if (!(b.min()[i] >= a.min()[i] && b.max()[i] <= a.max()[i])) return false;
                return true;
            },
            py::arg("range"))
        .def(
            "__eq__",
            [](const R& a, const R& b) { return vectors_equal(a.min(), b.min()) && vectors_equal(a.max(), b.max()); },
            py::is_operator())
        .def(
            "__ne__",
            [](const R& a, const R& b) {
                return !(vectors_equal(a.min(), b.min()) && vectors_equal(a.max(), b.max()));
            },
            py::is_operator())
        .def("__repr__", [](const R& r) {
            return "Range({" + format::joined(r.min(), V::Size) + "}, {" + format::joined(r.max(), V::Size) + "})";
        });
    if constexpr (std::is_floating_point_v<T>)
        cls.def(
            "scaled_from_center",
            [](const R& r, const V& by) {
                const V half = map(size(r), by, [](T a, T b) { return a * b / T(2); });
                return R(center(r) - half, center(r) + half);
            },
            py::arg("scaling"));

    const char* sides[][2] = {{"left", "right"}, {"bottom", "top"}, {"back", "front"}};
    const char* centers[] = {"center_x", "center_y", "center_z"};
    const char* sizes[] = {"size_x", "size_y", "size_z"};
    for (std::size_t axis = 0; axis < V::Size; ++axis) {
        cls.def_property(
               sides[axis][0], [axis](const R& r) { return r.min()[axis]; },
               [axis](R& r, T value) { r.min()[axis] = value; })
            .def_property(
                sides[axis][1], [axis](const R& r) { return r.max()[axis]; },
                [axis](R& r, T value) { r.max()[axis] = value; })
            .def(centers[axis], [axis](const R& r) { return center(r)[axis]; })
            .def(sizes[axis], [axis](const R& r) { return size(r)[axis]; });
    }
    for (unsigned which = 0; which < 1u << V::Size; ++which) {
        std::string name_ = V::Size == 3 ? (which & 4 ? "front_" : "back_") : "";
        name_ += std::string(which & 2 ? "top_" : "bottom_") + (which & 1 ? "right" : "left");
        cls.def_property_readonly(name_.c_str(), [which](const R& r) { return corner(r, which); });
    }
    m.attr("math")
        .cast<py::module_>()
        .def(
            "join",
            [](const R& a, const R& b) {
                return R(map(a.min(), b.min(), [](T x, T y) { return std::min(x, y); }),
                         map(a.max(), b.max(), [](T x, T y) { return std::max(x, y); }));
            },
            "Smallest range that holds both", py::arg("a"), py::arg("b"))
        .def("intersects", overlap<R>, py::arg("a"), py::arg("b"))
        .def(
            "intersect",
            [](const R& a, const R& b) {
                if (!overlap(a, b)) return R();
                return R(map(a.min(), b.min(), [](T x, T y) { return std::max(x, y); }),
                         map(a.max(), b.max(), [](T x, T y) { return std::min(x, y); }));
            },
            py::arg("a"), py::arg("b"));
    convert::copyable(cls);
}

}  // namespace

void bindings::ranges(py::module_& m) {
    bind<Range2D<float>>(m, "Range2D");
    bind<Range2D<double>>(m, "Range2Dd");
    bind<Range2D<Magnum::Int>>(m, "Range2Di");
    bind<Range3D<float>>(m, "Range3D");
    bind<Range3D<double>>(m, "Range3Dd");
    bind<Range3D<Magnum::Int>>(m, "Range3Di");
}

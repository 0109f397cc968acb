#include "scenegraph.hpp"

#include <memory>

#include "bindings.hpp"
#include "convert.hpp"

namespace {

using namespace Magnum;
using namespace Magnum::SceneGraph;
using Math::Matrix4;
using Math::Quaternion;
using Math::Rad;
using Math::Vector3;

// ---- ownership ---------------------------------------------------------------------------------------------------

/// Nodes belong to the simulator. The wheel registers its own node class with a holder that is not unique_ptr, and
/// pybind11 asks the same of the bases.
template <class T> class Borrowed {
  public:
    explicit Borrowed(T* pointer = nullptr) : _pointer(pointer) {}
    T* get() const { return _pointer; }

  private:
    T* _pointer;
};

/// A feature made from Python belongs to Python, and takes itself off its node when it goes.
template <class T> class Owned {
  public:
    explicit Owned(T* pointer = nullptr) : _pointer(pointer) {}
    T* get() const { return _pointer.get(); }

  private:
    std::unique_ptr<T> _pointer;
};

}  // namespace

PYBIND11_DECLARE_HOLDER_TYPE(T, Borrowed<T>)
PYBIND11_DECLARE_HOLDER_TYPE(T, Owned<T>)

namespace {

// ---- features ----------------------------------------------------------------------------------------------------

/// A feature with no behaviour of its own: a handle on the object it is attached to. When that object is destroyed
/// first, the feature stays valid and its object becomes None.
class Feature final : public AbstractFeature3D {
  public:
    explicit Feature(AbstractObject3D& to) {
        object = &to;
        previous = to.last_feature;
        (previous ? previous->next : to.first_feature) = this;
        to.last_feature = this;
    }
    ~Feature() override { detach(); }
    void doErase() override { detach(); }
    void markDirty() override {}
    void clean(const Matrix4<float>&) override {}
    void cleanInverted(const Matrix4<float>&) override {}

  private:
    void detach() {
        if (!object) return;
        (previous ? previous->next : object->first_feature) = next;
        (next ? next->previous : object->last_feature) = previous;
        object = nullptr;
        previous = next = nullptr;
    }
};

// ---- parenting ---------------------------------------------------------------------------------------------------

/// The root of a scene neither moves nor gets a parent.
void require_no_scene(Object3D& node) {
    if (node.doScene() == &node) throw py::value_error("the root of a scene has no parent and no transformation");
}

void unlink(Object3D& node) {
    if (!node.parent) return;
    (node.previous_sibling ? node.previous_sibling->next_sibling : node.parent->first_child) = node.next_sibling;
    (node.next_sibling ? node.next_sibling->previous_sibling : node.parent->last_child) = node.previous_sibling;
}

void append(Object3D& parent, Object3D& node) {
    node.parent = &parent;
    node.previous_sibling = parent.last_child;
    node.next_sibling = nullptr;
    (parent.last_child ? parent.last_child->next_sibling : parent.first_child) = &node;
    parent.last_child = &node;
}

void set_parent(Object3D& node, Object3D* parent) {
    if (!parent) throw py::value_error("a node needs a parent: the simulator owns nodes through it");
    if (parent == node.parent) return;
    require_no_scene(node);
    for (const Object3D* above = parent; above; above = above->parent)
        if (above == &node) throw py::value_error("a node can't become a child of itself or of its own descendant");
    unlink(node);
    append(*parent, node);
    node.doSetDirty();
}

// ---- transformation ----------------------------------------------------------------------------------------------

void set_transformation(Object3D& node, const Matrix4<float>& matrix) {
    require_no_scene(node);
    const auto linear = Math::linear_part(matrix);
    const auto rotation = Math::columns_normalized(linear);
    if (!Math::is_orthogonal(rotation) ||
        Math::dot(Math::cross(Math::named(rotation[0]), Math::named(rotation[1])), Math::named(rotation[2])) < 0)
        throw py::value_error(
            "a node takes translation, rotation and scaling only: this transformation shears, mirrors or flattens");
    node.translation = Math::translation_part(matrix);
    node.rotation = Quaternion<float>::from_matrix(rotation);
    node.scaling = Math::column_scaling(linear);
    node.doSetDirty();
}

/// Episode files round their numbers, so a rotation within a thousandth of unit length is taken, and normalized.
void set_rotation(Object3D& node, const Quaternion<float>& rotation) {
    require_no_scene(node);
    if (!(std::abs(rotation.length() - 1.0f) < 1.0e-3f))
        throw py::value_error("the rotation of a node must be a normalized quaternion, this one is " +
                              std::to_string(rotation.length()) + " long");
    node.rotation = rotation.is_normalized() ? rotation : rotation.normalized();
    node.doSetDirty();
}

/// The simulator aborts the process on these; here they raise.
void require_unit(const Vector3<float>& axis) {
    if (!Math::is_unit(Math::dot(axis, axis))) throw py::value_error("the axis of a rotation must have unit length");
}
void require_unit(const Quaternion<float>& rotation) {
    if (!rotation.is_normalized()) throw py::value_error("the quaternion of a rotation must be normalized");
}

/// These run the simulator's own code. A node keeps translation, rotation and scaling apart, so only for rotations does
/// it matter in whose frame they are; the other two come in both names for the sake of the API.
template <class Class> void relative_transformations(Class& cls) {
    typedef const Vector3<float>& V;
    typedef const Quaternion<float>& Q;
    typedef Rad<double> Angle;
    typedef Rad<float> Single;
    constexpr const char* InParent = "About the parent's axes";
    constexpr const char* InNode = "About the node's own axes";
    cls.def("reset_transformation", [](Object3D& o) { o.doResetTransformation(); })
        .def(
            "translate", [](Object3D& o, V by) { o.doTranslate(by); }, "Adds to the translation", py::arg("vector"))
        .def(
            "translate_local", [](Object3D& o, V by) { o.doTranslateLocal(by); }, "The same", py::arg("vector"))
        .def(
            "scale", [](Object3D& o, V by) { o.doScale(by); }, "Multiplies the scaling", py::arg("vector"))
        .def(
            "scale_local", [](Object3D& o, V by) { o.doScaleLocal(by); }, "The same", py::arg("vector"))
        .def(
            "rotate", [](Object3D& o, Q by) { require_unit(by), o.doRotate(by); }, InParent,
            py::arg("normalized_quaternion"))
        .def(
            "rotate_local", [](Object3D& o, Q by) { require_unit(by), o.doRotateLocal(by); }, InNode,
            py::arg("normalized_quaternion"))
        .def(
            "rotate",
            [](Object3D& o, Angle angle, V axis) { require_unit(axis), o.doRotateAbout(Single(angle), axis); },
            InParent, py::arg("angle"), py::arg("normalized_axis"))
        .def(
            "rotate_local",
            [](Object3D& o, Angle angle, V axis) { require_unit(axis), o.doRotateLocalAbout(Single(angle), axis); },
            InNode, py::arg("angle"), py::arg("normalized_axis"))
        .def(
            "rotate_x", [](Object3D& o, Angle angle) { o.doRotateX(Single(angle)); }, InParent, py::arg("angle"))
        .def(
            "rotate_x_local", [](Object3D& o, Angle angle) { o.doRotateXLocal(Single(angle)); }, InNode,
            py::arg("angle"))
        .def(
            "rotate_y", [](Object3D& o, Angle angle) { o.doRotateY(Single(angle)); }, InParent, py::arg("angle"))
        .def(
            "rotate_y_local", [](Object3D& o, Angle angle) { o.doRotateYLocal(Single(angle)); }, InNode,
            py::arg("angle"))
        .def(
            "rotate_z", [](Object3D& o, Angle angle) { o.doRotateZ(Single(angle)); }, InParent, py::arg("angle"))
        .def(
            "rotate_z_local", [](Object3D& o, Angle angle) { o.doRotateZLocal(Single(angle)); }, InNode,
            py::arg("angle"));
}

/// Translation or scaling, as a property whose setter tells the graph.
template <class Class> void vector_property(Class& cls, const char* name, Vector3<float> Object3D::* member) {
    cls.def_property(
        name, [member](const Object3D& o) { return o.*member; },
        [member](Object3D& o, const Vector3<float>& value) {
            require_no_scene(o);
            o.*member = value;
            o.doSetDirty();
        });
}

}  // namespace

void bindings::scenegraph(py::module_& m) {
    py::class_<AbstractObject3D, Borrowed<AbstractObject3D>>(m, "AbstractObject3D", "Node of a scene graph")
        .def_property_readonly(
            "parent", [](AbstractObject3D& o) { return o.doParent(); }, py::return_value_policy::reference)
        .def(
            "transformation_matrix", [](const AbstractObject3D& o) { return o.doTransformationMatrix(); },
            "Relative to the parent")
        .def(
            "absolute_transformation_matrix",
            [](const AbstractObject3D& o) { return o.doAbsoluteTransformationMatrix(); }, "Relative to the root")
        .def_property_readonly("is_dirty", [](const AbstractObject3D& o) { return o.doIsDirty(); })
        .def("set_dirty", [](AbstractObject3D& o) { o.doSetDirty(); })
        .def("set_clean", [](AbstractObject3D& o) { o.doSetClean(); });

    py::module_ trs = m.def_submodule("trs", "Nodes whose transformation is a translation, a rotation and a scaling");
    py::class_<Object3D, AbstractObject3D, Borrowed<Object3D>> object(
        trs, "Object3D", "Node with translation, rotation and scaling, all relative to its parent");
    object.def_property(
              "parent", [](Object3D& o) { return o.parent; }, set_parent, py::return_value_policy::reference)
        .def_property(
            "transformation", [](const Object3D& o) { return o.doTransformationMatrix(); }, set_transformation)
        .def("absolute_transformation", [](const Object3D& o) { return o.doAbsoluteTransformationMatrix(); });
    vector_property(object, "translation", &Object3D::translation);
    object.def_property("rotation", [](const Object3D& o) { return o.rotation; }, set_rotation);
    vector_property(object, "scaling", &Object3D::scaling);
    relative_transformations(object);

    py::class_<AbstractFeature3D, Owned<AbstractFeature3D>>(m, "AbstractFeature3D", "Something attached to a node")
        .def(py::init([](AbstractObject3D& to) -> AbstractFeature3D* { return new Feature(to); }), py::arg("object"))
        .def_property_readonly(
            "object", [](AbstractFeature3D& f) { return f.object; }, py::return_value_policy::reference,
            "The node attached to; None once that is gone");

    py::enum_<AspectRatioPolicy>(m, "AspectRatioPolicy")
        .value("NOT_PRESERVED", AspectRatioPolicy::NotPreserved)
        .value("EXTEND", AspectRatioPolicy::Extend)
        .value("CLIP", AspectRatioPolicy::Clip);
    py::class_<Camera3D, AbstractFeature3D, Owned<Camera3D>>(m, "Camera3D", "Camera attached to a node")
        .def_property_readonly("aspect_ratio_policy", [](const Camera3D& c) { return c.aspect_ratio_policy; })
        .def_property_readonly("projection_matrix", [](const Camera3D& c) { return c.projection_matrix; })
        .def_property_readonly(
            "camera_matrix",
            [](Camera3D& c) {
                if (c.object) c.object->doSetClean();
                return c.camera_matrix;
            },
            "The inverse of the node's absolute transformation")
        .def_property_readonly("viewport", [](const Camera3D& c) { return c.viewport; });
}

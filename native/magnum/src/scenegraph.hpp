// The simulator's scene graph, seen from outside.
//
// Nodes are made by the simulator's extension and carry its virtual tables, so a virtual call on one runs the
// simulator's own code. The classes here give the slots their order and the members their places, and nothing is ever
// constructed from them but Feature (scenegraph.cpp). Functions that are never called from here still hold their slot.
#pragma once

#include <cstddef>

#include "math_types.hpp"

namespace Magnum {
namespace SceneGraph {

template <UnsignedInt dimensions, class T> class AbstractFeature;

template <UnsignedInt dimensions, class T> class AbstractObject {
  public:
    AbstractFeature<dimensions, T>* first_feature;
    AbstractFeature<dimensions, T>* last_feature;

    virtual ~AbstractObject() = default;
    virtual AbstractObject* doScene() = 0;
    virtual const AbstractObject* doScene() const = 0;
    virtual AbstractObject* doParent() = 0;
    virtual const AbstractObject* doParent() const = 0;
    virtual Math::Matrix4<T> doTransformationMatrix() const = 0;
    virtual Math::Matrix4<T> doAbsoluteTransformationMatrix() const = 0;
    virtual void transformation_matrices_slot() const = 0;
    virtual bool doIsDirty() const = 0;
    virtual void doSetDirty() = 0;
    virtual void doSetClean() = 0;
};

template <class T> class BasicTranslationRotationScalingTransformation3D {
  public:
    virtual void doResetTransformation() = 0;
    virtual void doTranslate(const Math::Vector3<T>&) = 0;
    virtual void doTranslateLocal(const Math::Vector3<T>&) = 0;
    virtual void doRotate(const Math::Quaternion<T>&) = 0;
    virtual void doRotateLocal(const Math::Quaternion<T>&) = 0;
    // Declared apart (and not as overloads), since a virtual function's slot must not depend on overload resolution.
    virtual void doRotateAbout(Math::Rad<T>, const Math::Vector3<T>& axis) = 0;
    virtual void doRotateLocalAbout(Math::Rad<T>, const Math::Vector3<T>& axis) = 0;
    virtual void doRotateX(Math::Rad<T>) = 0;
    virtual void doRotateXLocal(Math::Rad<T>) = 0;
    virtual void doRotateY(Math::Rad<T>) = 0;
    virtual void doRotateYLocal(Math::Rad<T>) = 0;
    virtual void doRotateZ(Math::Rad<T>) = 0;
    virtual void doRotateZLocal(Math::Rad<T>) = 0;
    virtual void doScale(const Math::Vector3<T>&) = 0;
    virtual void doScaleLocal(const Math::Vector3<T>&) = 0;

    Math::Vector3<T> translation;
    Math::Quaternion<T> rotation;
    Math::Vector3<T> scaling;

  protected:
    ~BasicTranslationRotationScalingTransformation3D() = default;
};

template <class Transformation> class Object : public AbstractObject<3, float>, public Transformation {
  public:
    void* list_item_virtual_table;
    Object* parent;
    Object* previous_sibling;
    Object* next_sibling;
    Object* first_child;
    Object* last_child;
    UnsignedShort counter;
    UnsignedByte flags;
};

template <UnsignedInt dimensions, class T> class AbstractFeature {
  public:
    AbstractFeature() = default;
    AbstractFeature(const AbstractFeature&) = delete;
    AbstractFeature& operator=(const AbstractFeature&) = delete;
    virtual ~AbstractFeature() = default;
    /// Called when the object this is attached to is destroyed.
    virtual void doErase() = 0;
    virtual void markDirty() = 0;
    virtual void clean(const Math::Matrix4<T>& absolute_transformation) = 0;
    virtual void cleanInverted(const Math::Matrix4<T>& inverted_absolute_transformation) = 0;

    AbstractObject<dimensions, T>* object = nullptr;
    AbstractFeature* previous = nullptr;
    AbstractFeature* next = nullptr;
    UnsignedByte cached_transformations = 0;
};

enum class AspectRatioPolicy : UnsignedByte { NotPreserved, Extend, Clip };

template <UnsignedInt dimensions, class T> class Camera : public AbstractFeature<dimensions, T> {
  public:
    Math::Matrix4<T> raw_projection_matrix;
    AspectRatioPolicy aspect_ratio_policy;
    Math::Matrix4<T> projection_matrix;
    Math::Matrix4<T> camera_matrix;
    Math::Vector2<Int> viewport;
};

typedef AbstractObject<3, float> AbstractObject3D;
typedef Object<BasicTranslationRotationScalingTransformation3D<float>> Object3D;
typedef AbstractFeature<3, float> AbstractFeature3D;
typedef Camera<3, float> Camera3D;

static_assert(sizeof(AbstractObject3D) == 24 && sizeof(BasicTranslationRotationScalingTransformation3D<float>) == 48);
static_assert(sizeof(Object3D) == 128 && sizeof(AbstractFeature3D) == 40 && sizeof(Camera3D) == 240);

}  // namespace SceneGraph
}  // namespace Magnum

// The whole native side: one boxed call into libtorch's dispatcher, by operator name, and the few things the dispatcher does
// not cover (handles, metadata, the autograd engine, thread-local modes). It knows nothing of single operators: a new one is
// one line of C#. Written against libtorch 1.13 (Debian 12).
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/api/include/torch/version.h>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

using at::Tensor;
using at::TensorImpl;
using c10::IValue;

static thread_local std::string last_error;

template <class F>
static int guard(F&& body) {
  try { body(); return 0; }
  catch (const c10::Error& e) { last_error = e.what_without_backtrace(); }
  catch (const std::exception& e) { last_error = e.what(); }
  catch (...) { last_error = "unknown C++ exception"; }
  return -1;
}

// A handle is a TensorImpl* with one reference owned by the managed side.
static inline TensorImpl* give(Tensor&& t) { return t.defined() ? t.unsafeReleaseTensorImpl() : nullptr; }
static inline Tensor borrow(void* h) {
  if (!h) return Tensor();
  return Tensor(c10::intrusive_ptr<TensorImpl, c10::UndefinedTensorImpl>::reclaim_copy((TensorImpl*)h));
}
static inline at::Generator borrow_generator(void* h) {
  return at::Generator(c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy((c10::GeneratorImpl*)h));
}

// Kinds of argument; the numbers stand in Operator.cs as well.
enum Tag : int32_t { NONE, TENSOR, INT, DOUBLE, BOOL, INTLIST, TENSORLIST, DOUBLELIST, STRING, DEVICE, OPT_TENSORLIST, GENERATOR, TAG_COUNT };
static const char* tag_names[] = {"none", "a tensor", "an integer", "a floating point number", "a bool", "a list of integers",
  "a list of tensors", "a list of floating point numbers", "a string", "a device", "a list of optional tensors", "a generator"};
struct Arg { int32_t tag, n; union { int64_t i; double d; void* p; }; };   // 16 bytes

// An operator with the tags that each argument accepts: the boxed call itself checks neither count nor kind.
struct Op {
  c10::OperatorHandle handle;
  std::vector<uint32_t> accepts;
};

static uint32_t accepted(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::OptionalType: return (1u << NONE) | accepted(*type.castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::TensorType: return 1u << TENSOR;
    case c10::TypeKind::IntType: case c10::TypeKind::SymIntType: return 1u << INT;
    case c10::TypeKind::FloatType: return 1u << DOUBLE;
    case c10::TypeKind::NumberType: return (1u << INT) | (1u << DOUBLE) | (1u << BOOL);
    case c10::TypeKind::BoolType: return 1u << BOOL;
    case c10::TypeKind::StringType: return 1u << STRING;
    case c10::TypeKind::DeviceObjType: return 1u << DEVICE;
    case c10::TypeKind::GeneratorType: return 1u << GENERATOR;
    case c10::TypeKind::ListType:
      switch (type.castRaw<c10::ListType>()->getElementType()->kind()) {
        case c10::TypeKind::TensorType: return 1u << TENSORLIST;
        case c10::TypeKind::OptionalType: return 1u << OPT_TENSORLIST;
        case c10::TypeKind::IntType: case c10::TypeKind::SymIntType: return 1u << INTLIST;
        case c10::TypeKind::FloatType: return 1u << DOUBLELIST;
        default: return 0;
      }
    default: return 0;
  }
}

static IValue to_ivalue(const Arg& x) {
  switch (x.tag) {
    case NONE: return IValue();
    case TENSOR: return IValue(borrow(x.p));
    case INT: return IValue((int64_t)x.i);
    case DOUBLE: return IValue(x.d);
    case BOOL: return IValue(x.i != 0);
    case INTLIST: return IValue(at::IntArrayRef((int64_t*)x.p, x.n));
    case DOUBLELIST: return IValue(at::ArrayRef<double>((double*)x.p, x.n));
    case STRING: return IValue(std::string((char*)x.p, x.n));
    case DEVICE: return IValue(c10::Device(c10::DeviceType(x.i), (c10::DeviceIndex)x.n));
    case GENERATOR: return IValue(borrow_generator(x.p));
    case TENSORLIST: {
      c10::List<Tensor> list;
      list.reserve(x.n);
      for (int j = 0; j < x.n; j++) list.push_back(borrow(((void**)x.p)[j]));
      return IValue(std::move(list));
    }
    case OPT_TENSORLIST: {
      c10::List<c10::optional<Tensor>> list;
      list.reserve(x.n);
      for (int j = 0; j < x.n; j++) { void* h = ((void**)x.p)[j]; list.push_back(h ? c10::optional<Tensor>(borrow(h)) : c10::nullopt); }
      return IValue(std::move(list));
    }
    default: TORCH_CHECK(false, "unknown argument tag ", x.tag);
  }
}

API const char* gt_error() { return last_error.c_str(); }
API void gt_free(void* h) { if (h) c10::raw::intrusive_ptr::decref((TensorImpl*)h); }

API void* gt_find(const char* name, const char* overload) {
  void* result = nullptr;
  guard([&] {
    auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
    auto op = new Op{handle, {}};
    for (auto& a : handle.schema().arguments()) op->accepts.push_back(accepted(*a.type()));
    result = op;
  });
  return result;
}

// Returns the number of results (lists of tensors are flattened), or -1 with the message in gt_error.
API int gt_call(void* op_, const Arg* a, int n, Arg* out, int max_out) {
  int count = 0;
  auto op = (Op*)op_;
  int rc = guard([&] {
    auto& schema = op->handle.schema();
    auto& args = schema.arguments();
    TORCH_CHECK((size_t)n <= args.size(), schema.name(), " takes at most ", args.size(), " arguments, but got ", n, ": ", schema);
    torch::jit::Stack stack;
    stack.reserve(args.size() + 2);
    for (int k = 0; k < n; k++) {
      TORCH_CHECK(a[k].tag >= 0 && a[k].tag < TAG_COUNT && (op->accepts[k] >> a[k].tag & 1), schema.name(), ": argument '", args[k].name(),
        "' is of type ", args[k].type()->str(), ", but got ", a[k].tag >= 0 && a[k].tag < TAG_COUNT ? tag_names[a[k].tag] : "garbage");
      stack.push_back(to_ivalue(a[k]));
    }
    for (size_t k = n; k < args.size(); k++) {   // an underfilled stack would be undefined behaviour
      TORCH_CHECK(args[k].default_value().has_value(), schema.name(), ": argument '", args[k].name(), "' is missing");
      stack.push_back(*args[k].default_value());
    }
    op->handle.callBoxed(&stack);
    auto put = [&](Arg v) { TORCH_CHECK(count < max_out, schema.name(), ": more than ", max_out, " results"); out[count++] = v; };
    for (auto& v : stack) {
      Arg r{};
      if (v.isTensorList()) {
        for (Tensor t : v.toTensorVector()) { r.tag = TENSOR; r.p = give(std::move(t)); put(r); }
        continue;
      }
      if (v.isTensor()) { r.tag = TENSOR; r.p = give(std::move(v).toTensor()); }
      else if (v.isInt()) { r.tag = INT; r.i = v.toInt(); }
      else if (v.isDouble()) { r.tag = DOUBLE; r.d = v.toDouble(); }
      else if (v.isBool()) { r.tag = BOOL; r.i = v.toBool(); }
      else TORCH_CHECK(v.isNone(), schema.name(), ": unsupported kind of result ", v.tagKind());
      put(r);
    }
  });
  if (rc == 0) return count;
  for (int k = 0; k < count; k++) if (out[k].tag == TENSOR) gt_free(out[k].p);
  return -1;
}

// m = {dtype, dimensions, elements, requires_grad, contiguous, leaf, device type, device index, storage offset, element size};
// sizes and strides, where given, have room for `room` entries.
API int gt_meta(void* h, int64_t* m, int64_t* sizes, int64_t* strides, int room) {
  return guard([&] {
    auto t = (TensorImpl*)h;
    m[0] = (int64_t)c10::typeMetaToScalarType(t->dtype());
    m[1] = t->dim();
    m[2] = t->numel();
    m[3] = t->requires_grad();
    m[4] = t->is_contiguous();
    m[5] = borrow(h).is_leaf();
    m[6] = (int64_t)t->device().type();
    m[7] = t->device().has_index() ? t->device().index() : -1;
    m[8] = t->storage_offset();
    m[9] = (int64_t)t->itemsize();
    for (int k = 0; k < t->dim() && k < room; k++) {
      if (sizes) sizes[k] = t->sizes()[k];
      if (strides) strides[k] = t->strides()[k];
    }
  });
}

API int gt_data(void* h, void** out) { return guard([&] { *out = borrow(h).data_ptr(); }); }
API int gt_requires_grad(void* h, int on) { return guard([&] { borrow(h).set_requires_grad(on != 0); }); }
API int gt_grad(void* h, void** out) { return guard([&] { Tensor g = borrow(h).grad(); *out = give(std::move(g)); }); }
API int gt_set_grad(void* h, void* g) { return guard([&] { borrow(h).mutable_grad() = borrow(g); }); }

static std::vector<Tensor> borrow_all(void* const* h, int n) {
  std::vector<Tensor> all;
  all.reserve(n);
  for (int k = 0; k < n; k++) all.push_back(borrow(h[k]));
  return all;
}
API int gt_backward(void* const* roots, int n, void* const* grads, int n_grads, int retain, int create) {
  return guard([&] {
    auto g = borrow_all(grads, n_grads);
    if (g.empty()) g.resize(n);
    torch::autograd::backward(borrow_all(roots, n), g, retain != 0, create != 0);
  });
}
API int gt_autograd(void* const* roots, int n, void* const* inputs, int n_inputs, void* const* grads, int n_grads, int retain, int create, int allow_unused, void** out) {
  return guard([&] {
    auto g = borrow_all(grads, n_grads);
    if (g.empty()) g.resize(n);
    auto r = torch::autograd::grad(borrow_all(roots, n), borrow_all(inputs, n_inputs), g, retain != 0, create != 0, allow_unused != 0);
    for (int k = 0; k < n_inputs; k++) out[k] = give(std::move(r[k]));
  });
}

API int gt_grad_mode(int on) { int old = c10::GradMode::is_enabled(); if (on >= 0) c10::GradMode::set_enabled(on != 0); return old; }
API int gt_is_inference() { return c10::InferenceMode::is_enabled(); }
API void* gt_inference_push(int on) { return new c10::InferenceMode(on != 0); }
API void gt_inference_pop(void* g) { delete (c10::InferenceMode*)g; }
API int gt_set_threads(int n) { return guard([&] { at::set_num_threads(n); }); }
API const char* gt_version() { return TORCH_VERSION; }
API int gt_threads() { return at::get_num_threads(); }

// Generators: null means the default CPU generator.
API void* gt_generator(uint64_t seed, int fresh) {
  void* result = nullptr;
  guard([&] {
    at::Generator g = fresh ? at::detail::createCPUGenerator(seed) : at::detail::getDefaultCPUGenerator();
    result = g.unsafeReleaseGeneratorImpl();
  });
  return result;
}
API void gt_generator_free(void* h) { if (h) c10::raw::intrusive_ptr::decref((c10::GeneratorImpl*)h); }
API int gt_generator_seed(void* h, uint64_t seed) {
  return guard([&] { auto g = borrow_generator(h); std::lock_guard<std::mutex> lock(g.mutex()); g.set_current_seed(seed); });
}
API uint64_t gt_generator_current(void* h) { return borrow_generator(h).current_seed(); }

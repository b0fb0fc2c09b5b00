using System.Runtime.InteropServices;

namespace TorchSharp;

public static unsafe partial class torch
{
    public partial class Tensor
    {
        public bool requires_grad
        {
            get => Read(Meta.RequiresGrad) != 0;
            set
            {
                Native.Check(Native.gt_requires_grad(Handle, value ? 1 : 0));
                GC.KeepAlive(this);
            }
        }

        public Tensor requires_grad_(bool requires_grad = true)
        {
            this.requires_grad = requires_grad;
            return this;
        }

        public Tensor with_requires_grad(bool requires_grad = true) => requires_grad_(requires_grad);

        /// <summary>A new reference at each call; null before the first backward.</summary>
        public Tensor? grad
        {
            get
            {
                nint grad;
                Native.Check(Native.gt_grad(Handle, &grad));
                GC.KeepAlive(this);
                return grad == 0 ? null : new Tensor(grad);
            }
            set
            {
                Native.Check(Native.gt_set_grad(Handle, value?.Handle ?? 0));
                GC.KeepAlive(this);
                GC.KeepAlive(value);
            }
        }

        public void retain_grad() => Ops.retain_grad.InPlace(this);
        public void backward() => autograd.backward([this]);
        public void backward(IList<Tensor>? grad_tensors = null, bool retain_graph = false, bool create_graph = false, IList<Tensor>? inputs = null) =>
            autograd.backward([this], grad_tensors, retain_graph, create_graph, inputs);
    }

    public static class autograd
    {
        /// <summary>Adds the gradients of the sum of the roots to the leaves. <paramref name="inputs"/> is not offered here.</summary>
        public static void backward(IList<Tensor> tensors, IList<Tensor>? grad_tensors = null, bool? retain_graph = null, bool create_graph = false, IList<Tensor>? inputs = null)
        {
            if (inputs is not null) throw new NotSupportedException("backward with inputs is not offered by the System profile: use autograd.grad");
            nint[] roots = Handles(tensors), grads = Handles(grad_tensors ?? []);
            fixed (nint* r = roots, g = grads)
                Native.Check(Native.gt_backward(r, roots.Length, g, grads.Length, (retain_graph ?? create_graph) ? 1 : 0, create_graph ? 1 : 0));
            GC.KeepAlive(tensors);
            GC.KeepAlive(grad_tensors);
        }

        public static IList<Tensor> grad(IList<Tensor> outputs, IList<Tensor> inputs, IList<Tensor>? grad_outputs = null, bool retain_graph = false, bool create_graph = false, bool allow_unused = false)
        {
            nint[] roots = Handles(outputs), leaves = Handles(inputs), grads = Handles(grad_outputs ?? []), results = new nint[inputs.Count];
            fixed (nint* o = roots, i = leaves, g = grads, r = results)
                Native.Check(Native.gt_autograd(o, roots.Length, i, leaves.Length, g, grads.Length, retain_graph ? 1 : 0, create_graph ? 1 : 0, allow_unused ? 1 : 0, r));
            GC.KeepAlive(outputs);
            GC.KeepAlive(inputs);
            GC.KeepAlive(grad_outputs);
            return results.Select(h => h == 0 ? null! : new Tensor(h)).ToList();
        }

        private static nint[] Handles(IList<Tensor> tensors) => tensors.Select(t => t.Handle).ToArray();
    }

    /// <summary>Both modes are per thread and do not follow an await.</summary>
    private sealed class GradMode(bool on) : IDisposable
    {
        private readonly int _before = Native.gt_grad_mode(on ? 1 : 0);
        public void Dispose() => Native.gt_grad_mode(_before);
    }

    private sealed class InferenceMode(bool on) : IDisposable
    {
        private nint _guard = Native.gt_inference_push(on ? 1 : 0);
        public void Dispose() => Native.gt_inference_pop(Interlocked.Exchange(ref _guard, 0));
    }

    public static IDisposable no_grad() => new GradMode(false);
    public static IDisposable enable_grad(bool enabled = true) => new GradMode(enabled);
    public static IDisposable set_grad_enabled(bool mode = true) => new GradMode(mode);
    public static IDisposable inference_mode(bool mode = true) => new InferenceMode(mode);
    public static bool is_grad_enabled() => Native.gt_grad_mode(-1) != 0;
    public static bool is_inference_mode_enabled() => Native.gt_is_inference() != 0;

    /// <summary>libtorch's own threads; OpenBLAS's pool follows OPENBLAS_NUM_THREADS, read when it is loaded.</summary>
    public static void set_num_threads(int num) => Native.Check(Native.gt_set_threads(num));
    /// <summary>The version of libtorch that this was compiled against.</summary>
    public static string __version__ => Marshal.PtrToStringUTF8((nint)Native.gt_version())!;

    public static int get_num_threads() => Native.gt_threads();
}

using System.Runtime.InteropServices;

[assembly: System.Runtime.CompilerServices.DisableRuntimeMarshalling]

namespace TorchSharp;

/// <summary>One argument or result at the border: 16 bytes, as in native/shim.cpp.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeArg
{
    public int Tag, N;
    public long Value;
}

/// <summary>The entries of native/shim.cpp. Functions that return int give a negative number on error, with the message in gt_error.</summary>
internal static unsafe class Native
{
    private const string Library = "gradus_torch";

    [DllImport(Library)] internal static extern byte* gt_error();
    [DllImport(Library)] internal static extern void gt_free(nint handle);
    [DllImport(Library)] internal static extern nint gt_find(byte* name, byte* overload);
    [DllImport(Library)] internal static extern int gt_call(nint op, NativeArg* args, int n, NativeArg* results, int room);
    [DllImport(Library)] internal static extern int gt_meta(nint handle, long* meta, long* sizes, long* strides, int room);
    [DllImport(Library)] internal static extern int gt_data(nint handle, void** data);
    [DllImport(Library)] internal static extern int gt_requires_grad(nint handle, int on);
    [DllImport(Library)] internal static extern int gt_grad(nint handle, nint* grad);
    [DllImport(Library)] internal static extern int gt_set_grad(nint handle, nint grad);
    [DllImport(Library)] internal static extern int gt_backward(nint* roots, int n, nint* grads, int gradCount, int retain, int create);
    [DllImport(Library)] internal static extern int gt_autograd(nint* roots, int n, nint* inputs, int inputCount, nint* grads, int gradCount, int retain, int create, int allowUnused, nint* results);
    [DllImport(Library)] internal static extern int gt_grad_mode(int on);
    [DllImport(Library)] internal static extern int gt_is_inference();
    [DllImport(Library)] internal static extern nint gt_inference_push(int on);
    [DllImport(Library)] internal static extern void gt_inference_pop(nint guard);
    [DllImport(Library)] internal static extern int gt_set_threads(int n);
    [DllImport(Library)] internal static extern int gt_threads();
    [DllImport(Library)] internal static extern byte* gt_version();
    [DllImport(Library)] internal static extern nint gt_generator(ulong seed, int fresh);
    [DllImport(Library)] internal static extern void gt_generator_free(nint handle);
    [DllImport(Library)] internal static extern int gt_generator_seed(nint handle, ulong seed);
    [DllImport(Library)] internal static extern ulong gt_generator_current(nint handle);

    internal static void Check(int code)
    {
        if (code < 0) Throw();
    }

    /// <summary>Throws with libtorch's own message, as TorchSharp does.</summary>
    internal static void Throw() => throw new ExternalException(Marshal.PtrToStringUTF8((nint)gt_error()));
}

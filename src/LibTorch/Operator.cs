using System.Runtime.CompilerServices;
using System.Text;

namespace TorchSharp;

/// <summary>One argument of a dispatcher call: its kind, its value, and for tensors and lists the object that keeps it alive.</summary>
internal readonly struct Arg
{
    internal const int None_ = 0, Tensor = 1, Int = 2, Double = 3, Bool = 4, IntList = 5, TensorList = 6, DoubleList = 7, String = 8, Device = 9, OptionalTensorList = 10, Generator = 11;

    internal readonly object? Object;
    internal readonly long Value;
    internal readonly int Tag, N;

    private Arg(int tag, long value, object? target = null, int n = 0)
    {
        Tag = tag;
        Value = value;
        Object = target;
        N = n;
    }

    internal static Arg None => default;
    internal static Arg One(long v) => new(IntList, v, null, 1);
    internal static Arg Text(string v) => new(String, 0, Encoding.UTF8.GetBytes(v), Encoding.UTF8.GetByteCount(v));
    internal static Arg Text(torch.RoundingMode v) => Text(v.ToString());
    internal static Arg OptionalTensors(torch.Tensor?[] v) => new(OptionalTensorList, 0, v, v.Length);

    public static implicit operator Arg(torch.Tensor? t) => t is null ? default : new(Tensor, t.Handle, t);
    public static implicit operator Arg(long v) => new(Int, v);
    public static implicit operator Arg(long? v) => v is { } i ? new(Int, i) : default;
    public static implicit operator Arg(double v) => new(Double, BitConverter.DoubleToInt64Bits(v));
    public static implicit operator Arg(double? v) => v is { } d ? (Arg)d : default;
    public static implicit operator Arg(bool v) => new(Bool, v ? 1 : 0);
    public static implicit operator Arg(long[]? v) => v is null ? default : new(IntList, 0, v, v.Length);
    public static implicit operator Arg(torch.Tensor[] v) => new(TensorList, 0, v, v.Length);
    public static implicit operator Arg(torch.ScalarType v) => new(Int, (long)v);
    public static implicit operator Arg(torch.ScalarType? v) => v is { } s ? new(Int, (long)s) : default;
    public static implicit operator Arg(torch.Device? d) => d is null ? default : new(Device, (long)d.type, null, d.index);
    public static implicit operator Arg(torch.Generator? g) => g is null ? default : new(Generator, g.Handle, g);
    public static implicit operator Arg(Scalar? s) => s is null ? default : new(s.Tag, s.Bits);
}

/// <summary>An operator of libtorch's dispatcher ("name" or "name.overload"), looked up at its first call.</summary>
internal sealed unsafe class Op(string name)
{
    private nint _handle;

    /// <summary>The one tensor that the operator returns.</summary>
    [SkipLocalsInit]
    internal torch.Tensor Call(params ReadOnlySpan<Arg> args)
    {
        NativeArg result;
        Run(args, &result, 1);
        return new torch.Tensor((nint)result.Value);
    }

    /// <summary>All tensors that the operator returns, a list flattened.</summary>
    [SkipLocalsInit]
    internal torch.Tensor[] CallMany(params ReadOnlySpan<Arg> args)
    {
        const int Room = 1024;
        NativeArg* results = stackalloc NativeArg[Room];
        var tensors = new torch.Tensor[Run(args, results, Room)];
        for (int k = 0; k < tensors.Length; k++) tensors[k] = new torch.Tensor((nint)results[k].Value);
        return tensors;
    }

    /// <summary>The two tensors that the operator returns.</summary>
    [SkipLocalsInit]
    internal (torch.Tensor, torch.Tensor) CallPair(params ReadOnlySpan<Arg> args)
    {
        NativeArg* results = stackalloc NativeArg[2];
        Run(args, results, 2);
        return (new torch.Tensor((nint)results[0].Value), new torch.Tensor((nint)results[1].Value));
    }

    /// <summary>For operators that change their first argument and return it: the extra reference is dropped.</summary>
    [SkipLocalsInit]
    internal torch.Tensor InPlace(params ReadOnlySpan<Arg> args)
    {
        NativeArg result;
        if (Run(args, &result, 1) == 1 && result.Tag == Arg.Tensor) Native.gt_free((nint)result.Value);
        return (torch.Tensor)args[0].Object!;
    }

    /// <summary>The number or bool that the operator returns, with its tag.</summary>
    [SkipLocalsInit]
    internal (int Tag, long Bits) CallScalar(params ReadOnlySpan<Arg> args)
    {
        NativeArg result;
        Run(args, &result, 1);
        return (result.Tag, result.Value);
    }

    [SkipLocalsInit]
    private int Run(ReadOnlySpan<Arg> args, NativeArg* results, int room)
    {
        int total = 0;
        foreach (ref readonly var a in args) if (a.Tag is >= Arg.IntList and not Arg.Device) total += a.N;
        NativeArg* natives = stackalloc NativeArg[args.Length];
        long* lists = stackalloc long[total + 1];
        for (int k = 0; k < args.Length; k++)
        {
            ref readonly var a = ref args[k];
            natives[k].Tag = a.Tag;
            natives[k].N = a.N;
            if (a.Tag is < Arg.IntList or Arg.Device or Arg.Generator)
            {
                natives[k].Value = a.Value;
                continue;
            }
            natives[k].Value = (long)lists;
            if (a.Object is null) *lists = a.Value;
            else if (a.Object is long[] integers) integers.CopyTo(new Span<long>(lists, a.N));
            else if (a.Object is byte[] text) text.CopyTo(new Span<byte>(lists, a.N));
            else
            {
                var tensors = (torch.Tensor?[])a.Object;
                for (int j = 0; j < a.N; j++) lists[j] = tensors[j]?.Handle ?? 0;
            }
            lists += a.N;
        }
        if (_handle == 0) Find();
        int count = Native.gt_call(_handle, natives, args.Length, results, room);
        // Without this a finalizer could free a handle while the call above uses it.
        foreach (ref readonly var a in args) GC.KeepAlive(a.Object);
        if (count < 0) Native.Throw();
        return count;
    }

    internal void Find()
    {
        int dot = name.IndexOf('.', StringComparison.Ordinal);
        var (bare, overload) = dot < 0 ? (name, "") : (name[..dot], name[(dot + 1)..]);
        fixed (byte* n = Encoding.UTF8.GetBytes("aten::" + bare + "\0"), o = Encoding.UTF8.GetBytes(overload + "\0"))
            _handle = Native.gt_find(n, o);
        if (_handle == 0) Native.Throw();
    }
}

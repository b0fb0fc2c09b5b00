namespace TorchSharp;

/// <summary>A number with its kind (integer, floating point or bool), as operators take it. It owns nothing native here.</summary>
public sealed class Scalar : IDisposable
{
    internal readonly int Tag;
    internal readonly long Bits;

    internal Scalar(int tag, long bits)
    {
        Tag = tag;
        Bits = bits;
    }

    internal double AsDouble => Tag == Arg.Double ? BitConverter.Int64BitsToDouble(Bits) : Bits;
    internal long AsLong => Tag == Arg.Double ? (long)BitConverter.Int64BitsToDouble(Bits) : Bits;

    public torch.ScalarType Type => Tag switch
    {
        Arg.Double => torch.ScalarType.Float64,
        Arg.Bool => torch.ScalarType.Bool,
        _ => torch.ScalarType.Int64,
    };

    public static implicit operator Scalar(byte value) => new(Arg.Int, value);
    public static implicit operator Scalar(sbyte value) => new(Arg.Int, value);
    public static implicit operator Scalar(short value) => new(Arg.Int, value);
    public static implicit operator Scalar(int value) => new(Arg.Int, value);
    public static implicit operator Scalar(long value) => new(Arg.Int, value);
    public static implicit operator Scalar(Half value) => (double)value;
    public static implicit operator Scalar(float value) => (double)value;
    public static implicit operator Scalar(double value) => new(Arg.Double, BitConverter.DoubleToInt64Bits(value));
    public static implicit operator Scalar(bool value) => new(Arg.Bool, value ? 1 : 0);

    public void Dispose() { }
}

public static class ScalarExtensionMethods
{
    public static Scalar ToScalar(this byte value) => value;
    public static Scalar ToScalar(this sbyte value) => value;
    public static Scalar ToScalar(this short value) => value;
    public static Scalar ToScalar(this int value) => value;
    public static Scalar ToScalar(this long value) => value;
    public static Scalar ToScalar(this Half value) => value;
    public static Scalar ToScalar(this float value) => value;
    public static Scalar ToScalar(this double value) => value;
    public static Scalar ToScalar(this bool value) => value;

    public static float ToSingle(this Scalar value) => (float)value.AsDouble;
    public static double ToDouble(this Scalar value) => value.AsDouble;
    public static Half ToHalf(this Scalar value) => (Half)value.AsDouble;
    public static sbyte ToSByte(this Scalar value) => (sbyte)value.AsLong;
    public static byte ToByte(this Scalar value) => (byte)value.AsLong;
    public static short ToInt16(this Scalar value) => (short)value.AsLong;
    public static int ToInt32(this Scalar value) => (int)value.AsLong;
    public static long ToInt64(this Scalar value) => value.AsLong;
    public static bool ToBoolean(this Scalar value) => value.AsDouble != 0;
}

using System.Buffers.Binary;
using Gradus.Training.Gguf;
using Xunit;

namespace Gradus.Training.Tests.Gguf;

/// <summary>Blocks worked by hand for the formats of which no published file lies beside the tests.</summary>
public sealed class DequantizerTests
{
    [Fact]
    public void Q5_1()
    {
        // scale 0.5, offset -1; fifth bits of numbers 0, 17 and 31; low halves 0..15, high halves 15..0.
        byte[] block = [.. Half(.5), .. Half(-1), 0x01, 0x00, 0x02, 0x80, .. Enumerable.Range(0, 16).Select(i => (byte)(i | (15 - i) << 4))];
        var expected = Enumerable.Range(0, 32).Select(i => ((i < 16 ? i : 31 - i) + (i is 0 or 17 or 31 ? 16 : 0)) * .5f - 1);
        Assert.Equal(expected, Read(GgufType.Q5_1, block, 32));
    }

    [Fact]
    public void IQ4_NL()
    {
        byte[] block = [.. Half(-.25), .. Enumerable.Range(0, 16).Select(i => (byte)(i | (15 - i) << 4))];
        float[] levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
        Assert.Equal(levels.Concat(levels.Reverse()).Select(level => level * -.25f), Read(GgufType.IQ4_NL, block, 32));
    }

    [Fact]
    public void Q3_K()
    {
        // Sixteen groups of 16. Scales: 6 bits each, less 32; group g has scale 2g + 1, that is 2g + 33 stored. Numbers 2 bits (i mod 4), less 4 where the
        // third bit is not set; it is set for even bytes of the mask's first two groups of 32, and nowhere else.
        var block = new byte[110];
        for (var i = 0; i < 32; i += 2) block[i] = 0b11;
        for (var i = 0; i < 64; i++) block[32 + i] = (byte)(i % 4 * 0b01010101);
        for (var group = 0; group < 16; group++)
        {
            var stored = (2 * group) + 1 + 32;
            block[96 + (group % 8)] |= (byte)((stored & 15) << (group < 8 ? 0 : 4));
            block[104 + (group % 4)] |= (byte)((stored >> 4) << (2 * (group / 4)));
        }
        Half(2).CopyTo(block, 108);
        var expected = Enumerable.Range(0, 256).Select(i => 2f * ((2 * (i / 16)) + 1) * ((i % 4) - (i < 64 && i % 2 == 0 ? 0 : 4)));
        Assert.Equal(expected, Read(GgufType.Q3_K, block, 256));
    }

    [Fact]
    public void BrainFloatsAndHalves()
    {
        float[] values = [.. Enumerable.Range(-20, 41).Select(i => i * .375f), float.PositiveInfinity, -0f];
        Assert.Equal(values, Read(GgufType.BF16, [.. values.SelectMany(value => BitConverter.GetBytes((ushort)(BitConverter.SingleToUInt32Bits(value) >> 16)))], values.Length));
        Assert.Equal(values, Read(GgufType.F16, [.. values.SelectMany(value => BitConverter.GetBytes((Half)value))], values.Length));
    }

    [Fact]
    public void ANegativeScaleKeepsTheSignOfZero()
    {
        byte[] block = [.. Half(-1), .. new byte[32]];
        Assert.All(Read(GgufType.Q8_0, block, 32), number => Assert.True(float.IsNegative(number)));
    }

    [Fact]
    public void BytesThatAreNoWholeBlocksAreRefused() => Assert.Throws<ArgumentException>(() => Read(GgufType.Q8_0, new byte[35], 32));

    private static float[] Read(GgufType type, byte[] bytes, int numbers)
    {
        var read = new float[numbers];
        Dequantizer.ToSingle(type, bytes, read);
        return read;
    }

    private static byte[] Half(double value)
    {
        var bytes = new byte[2];
        BinaryPrimitives.WriteHalfLittleEndian(bytes, (Half)value);
        return bytes;
    }
}

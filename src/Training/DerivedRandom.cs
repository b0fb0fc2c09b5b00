using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Gradus.Training;

/// <summary>
/// Random numbers that are a pure function of (seed, purpose, step, index): there is no generator state to save, and the order in which work is
/// done does not matter. The key is a SHA-256 of the four, the stream SplitMix64 (Steele, Lea, Flood 2014) from that key.
/// </summary>
/// <param name="key">Where the stream starts; take it from <see cref="For"/> unless it was derived before.</param>
public struct DerivedRandom(ulong key)
{
    private ulong state = key;

    /// <summary>The stream of one purpose, at one step, for one index.</summary>
    public static DerivedRandom For(long seed, string purpose, long step = 0, long index = 0) => new(Key(seed, purpose, step, index));

    /// <summary>The key of that stream, to hand on (a rollout's seed, say).</summary>
    public static ulong Key(long seed, string purpose, long step = 0, long index = 0)
    {
        var name = Encoding.UTF8.GetBytes(purpose);
        var bytes = new byte[24 + name.Length];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, seed);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(8), step);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), index);
        name.CopyTo(bytes, 24);
        return BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(bytes));
    }

    /// <summary>The draw of (key, position) alone, in [0, 1): what a sampled token uses, whoever else is in its batch.</summary>
    public static double At(ulong key, int position) => new DerivedRandom(key + (ulong)position * 0xD1342543DE82EF95UL).NextDouble();

    public ulong NextUInt64()
    {
        var z = state += 0x9E3779B97F4A7C15UL;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }

    /// <summary>Uniform in [0, 1), 53 bits.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in [low, high). The bias of the modulus is below 2^-32 for ranges below 2^32.</summary>
    public int Next(int low, int high)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(low, high);
        return (int)(low + (long)(NextUInt64() % (ulong)((long)high - low)));
    }

    /// <summary>Normal with mean 0 and deviation 1 (Box and Muller).</summary>
    public double NextGaussian() => Math.Sqrt(-2 * Math.Log(1 - NextDouble())) * Math.Cos(2 * Math.PI * NextDouble());

    /// <summary>One of the items, all equally likely.</summary>
    public T Pick<T>(IReadOnlyList<T> items) => items[Next(0, items.Count)];

    /// <summary>Fisher and Yates.</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (var i = items.Length - 1; i > 0; i--)
        {
            var j = Next(0, i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }
}

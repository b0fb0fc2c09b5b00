namespace Gradus.Training.Inference.Cpu;

/// <summary>
/// How keys and values of 16 positions of one sequence lie in a page, all layers: for each layer first the keys, [head][feature][position], so that 16 scores come
/// of one pass, then the values, [head][position][feature]. Features are padded with zeros to whole vectors.
/// </summary>
internal sealed class PageShape
{
    public const int Positions = 16;

    /// <param name="heads">Key heads.</param>
    /// <param name="headWidth">Features of a head.</param>
    public PageShape(int layers, int heads, int headWidth)
    {
        Width = (headWidth + 15) / 16 * 16;
        HeadFloats = Width * Positions;
        LayerFloats = 2 * heads * HeadFloats;
        (ValuesFrom, Bytes) = (heads * HeadFloats, (long)layers * LayerFloats * sizeof(float));
    }

    /// <summary>Features of a head with padding.</summary>
    public int Width { get; }

    /// <summary>Floats of one head's keys, or values, in a page.</summary>
    public int HeadFloats { get; }

    public int LayerFloats { get; }

    /// <summary>Where a layer's values begin.</summary>
    public int ValuesFrom { get; }

    public long Bytes { get; }

    public static int Pages(int positions) => (positions + Positions - 1) / Positions;
}

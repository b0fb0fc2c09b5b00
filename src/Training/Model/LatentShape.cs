namespace Gradus.Training.Model;

/// <summary>Widths of multi-head latent attention (DeepSeek-V2, section 2.1).</summary>
/// <param name="QueryRank">Width that queries are squeezed through; null where they are not.</param>
/// <param name="KeyValueRank">Width that keys and values are squeezed through.</param>
/// <param name="PlainWidth">Features of a query or key head that know no position.</param>
/// <param name="RotaryWidth">Features of a query head that turn; all heads share one such key.</param>
/// <param name="ValueWidth">Features of a value head.</param>
/// <param name="Interleaved">Whether the pairs that turn together lie side by side in the weights, as DeepSeek publishes them.</param>
public sealed record LatentShape(int? QueryRank, int KeyValueRank, int PlainWidth, int RotaryWidth, int ValueWidth, bool Interleaved);

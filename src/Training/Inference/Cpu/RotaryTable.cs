using Gradus.Training.Model;

namespace Gradus.Training.Inference.Cpu;

/// <summary>Cosines, then sines, of each position's angles, [width], as <see cref="RotaryEmbedding"/> computes them. Grow it before several threads read it.</summary>
internal sealed class RotaryTable(ModelConfig config)
{
    private readonly RotaryFrequencies frequencies = RotaryFrequencies.Of(config);
    private float[] angles = [];

    public ReadOnlySpan<float> At(int position) => angles.AsSpan(position * config.HeadDim, config.HeadDim);

    public void Grow(int positions)
    {
        int known = angles.Length / config.HeadDim, half = config.HeadDim / 2;
        if (positions <= known) return;
        Array.Resize(ref angles, Math.Max(positions, 2 * known) * config.HeadDim);
        for (var j = 0; j < half; j++)
        {
            for (var position = known; position < angles.Length / config.HeadDim; position++)
            {
                var (sine, cosine) = Math.SinCos(position * frequencies.Inverse[j]);
                angles[(position * config.HeadDim) + j] = (float)cosine * frequencies.Amplitude;
                angles[(position * config.HeadDim) + half + j] = (float)sine * frequencies.Amplitude;
            }
        }
    }
}

namespace Gradus.Training.Model;

/// <summary>
/// The angle that each pair of features turns by from one position to the next, and what cosines and sines are multiplied with: the one place for both decoders.
/// Computed in fp32, operation by operation as transformers does (ROPE_INIT_FUNCTIONS), so that long positions agree.
/// </summary>
/// <param name="Inverse">[width / 2].</param>
public sealed record RotaryFrequencies(float[] Inverse, float Amplitude)
{
    public static RotaryFrequencies Of(ModelConfig config) => Of(config.RopeTheta, config.RotaryWidth, config.Rope);

    /// <param name="width">Features that turn, even.</param>
    public static RotaryFrequencies Of(double theta, int width, RotaryScaling? scaling)
    {
        var waves = new float[width / 2];
        for (var j = 0; j < waves.Length; j++) waves[j] = (float)Math.Pow(theta, 2f * j / width);
        return new(scaling?.Type switch
        {
            null => [.. waves.Select(wave => 1f / wave)],
            "linear" => [.. waves.Select(wave => 1f / wave / (float)scaling.Factor)],
            "llama3" => [.. waves.Select(wave => Llama3(1f / wave, scaling))],
            "yarn" => Yarn(waves, theta, width, scaling),
            "longrope" => [.. waves.Zip(scaling.Factors, (wave, factor) => 1f / ((float)factor * wave))],
            _ => throw new ArgumentException($"There is no rotary scaling '{scaling.Type}'.", nameof(scaling)),
        }, (float)(scaling?.Amplitude ?? 1));
    }

    /// <summary>Long waves are stretched, short ones left alone, those between the two blended.</summary>
    private static float Llama3(float inverse, RotaryScaling scaling)
    {
        float original = scaling.OriginalPositions, factor = (float)scaling.Factor, wave = (float)(2 * Math.PI) / inverse;
        if (wave < (float)(scaling.OriginalPositions / scaling.HighFrequencyFactor)) return inverse;
        if (wave > (float)(scaling.OriginalPositions / scaling.LowFrequencyFactor)) return inverse / factor;
        var smooth = ((original / wave) - (float)scaling.LowFrequencyFactor) / (float)(scaling.HighFrequencyFactor - scaling.LowFrequencyFactor);
        return ((1 - smooth) * inverse / factor) + (smooth * inverse);
    }

    /// <summary>Features that turn often are left alone, slow ones stretched, with a ramp between (YaRN, section 3.2).</summary>
    private static float[] Yarn(float[] waves, double theta, int width, RotaryScaling scaling)
    {
        double low = Feature(scaling.BetaFast), high = Feature(scaling.BetaSlow);
        if (scaling.Truncate) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, width - 1));
        if (low == high) high += 0.001;
        return [.. waves.Select((wave, j) =>
        {
            var ramp = Math.Clamp((j - (float)low) / (float)(high - low), 0, 1);
            float alone = 1 - ramp, stretched = 1f / ((float)scaling.Factor * wave);
            return (stretched * (1 - alone)) + (1f / wave * alone);
        })];

        // The feature that makes so many turns over the original positions.
        double Feature(double turns) => width * Math.Log(scaling.OriginalPositions / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
    }
}

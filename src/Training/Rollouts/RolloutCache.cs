using Gradus.Training.Inference;
using Gradus.Training.Model;

namespace Gradus.Training.Rollouts;

/// <summary>How much memory for keys and values a stage's rollouts are given; what does not fit waits.</summary>
internal static class RolloutCache
{
    private const int Megabyte = 1_000_000, DefaultMegabytes = 4_096;

    /// <summary>Bytes: what all that run at once need, or the options' bound where that is less.</summary>
    /// <param name="sequences">That run at once.</param>
    /// <param name="prompts">Different ones among all that are asked for.</param>
    /// <param name="prompt">Tokens of the longest.</param>
    /// <param name="completion">Tokens of the longest completion.</param>
    public static long Bytes(RolloutOptions options, ModelConfig config, long sequences, long prompts, int prompt, int completion)
    {
        // Those of a group hold whole pages of their prompt together; each has a copy of the rest of it.
        var needed = Decoders.SharesPages(config)
            ? (Math.Min(prompts, sequences) * Decoders.CacheBytesOf(config, prompt)) + (sequences * Decoders.CacheBytesOf(config, completion + Decoders.PagePositions))
            : sequences * Decoders.CacheBytesOf(config, prompt + completion);
        return Math.Min(needed, Bound(options, config, prompt + completion));
    }

    /// <summary>The options' bound in bytes.</summary>
    /// <param name="longest">Tokens of the longest sequence.</param>
    public static long Bound(RolloutOptions options, ModelConfig config, int longest) =>
        options.CacheMb is { } most ? (long)most * Megabyte : Math.Max((long)DefaultMegabytes * Megabyte, Decoders.CacheBytesOf(config, longest));

    /// <exception cref="InvalidInputException">One sequence alone needs more than the bound that the options set.</exception>
    /// <param name="path">Where the options stand.</param>
    public static void Check(RolloutOptions options, ModelConfig config, int prompt, int completion, string path)
    {
        var needed = Decoders.CacheBytesOf(config, prompt + completion);
        if (options.CacheMb is not { } most || needed <= (long)most * Megabyte) return;
        throw new InvalidInputException(
            FormattableString.Invariant(
                $"'{path}.cache_mb' is {most}, and one sequence needs {(needed + Megabyte - 1) / Megabyte} MB: {prompt} tokens of prompt and max_completion_length ({completion}). Raise it to at least that, or lower max_completion_length."),
            $"{path}.cache_mb", "cache_too_small");
    }
}

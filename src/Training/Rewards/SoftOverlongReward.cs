namespace Gradus.Training.Rewards;

/// <summary>
/// The soft overlong punishment (DAPO 2025, eq. 13; TRL's get_soft_overlong_punishment): 0 up to <c>max_completion_len - soft_punish_cache</c> tokens, from there falling evenly to -1 at
/// <c>max_completion_len</c>, and -1 beyond. Null where the completion was not sampled here, so that its tokens are not known.
/// </summary>
/// <param name="longest"><c>max_completion_len</c>: tokens, 1 to 131,072. A completion that was cut off has as many as the stage's max_completion_length.</param>
/// <param name="cache"><c>soft_punish_cache</c>: tokens before it in which the punishment grows, 0 (none: -1 beyond the longest) to <paramref name="longest"/>.</param>
public sealed class SoftOverlongReward(int longest, int cache) : IReward
{
    public string Name => "soft_overlong";

    /// <summary>Tokens up to which nothing is punished.</summary>
    public int Unpunished => longest - cache;

    public double? Score(RewardContext context) => context.Tokens switch
    {
        null => null,
        { } length when length <= longest - cache => 0,
        { } length when length <= longest => (double)(longest - cache - length) / cache,
        _ => -1,
    };
}

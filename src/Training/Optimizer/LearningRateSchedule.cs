namespace Gradus.Training.Optimizer;

/// <summary>How the learning rate goes from step to step.</summary>
public enum ScheduleKind
{
    /// <summary>The peak, after the warm-up.</summary>
    Constant,

    /// <summary>A straight line down to 0 at the end.</summary>
    Linear,

    /// <summary>Half a cosine down to the minimum at the end.</summary>
    Cosine,
}

/// <summary>
/// The learning rate of each step, by the formulas of transformers' schedules (constant_with_warmup, linear, cosine, cosine_with_min_lr). With s = step - 1
/// updates done before, w warm-up steps and t steps in all, the peak is multiplied by
/// <list type="bullet">
/// <item>s / w while s is below w (so the first step of a warm-up has rate 0);</item>
/// <item>then 1 (constant), (t - s) / (t - w) (linear), or m + (1 - m) (1 + cos(pi (s - w) / (t - w))) / 2 (cosine, m the minimum's ratio).</item>
/// </list>
/// </summary>
/// <param name="Peak">The rate after the warm-up, at least 0.</param>
/// <param name="TotalSteps">Steps of the stage, at least 1.</param>
/// <param name="WarmupSteps">From 0.</param>
/// <param name="MinimumRatio">Of the peak, 0 to 1; for the cosine alone.</param>
public sealed record LearningRateSchedule(ScheduleKind Kind, double Peak, int TotalSteps, int WarmupSteps = 0, double MinimumRatio = 0)
{
    /// <summary>By TRL's <c>lr_scheduler_type</c>.</summary>
    /// <exception cref="InvalidInputException">Another name than constant, constant_with_warmup, linear, cosine, cosine_with_min_lr.</exception>
    public static ScheduleKind Parse(string name) => name switch
    {
        "constant" or "constant_with_warmup" => ScheduleKind.Constant,
        "linear" => ScheduleKind.Linear,
        "cosine" or "cosine_with_min_lr" => ScheduleKind.Cosine,
        _ => throw new InvalidInputException(
            $"lr_scheduler_type must be constant, constant_with_warmup, linear, cosine or cosine_with_min_lr, not '{name}'.", "lr_scheduler_type", "unknown_value"),
    };

    /// <summary>The rate of a step, counted from 1.</summary>
    public double At(int step)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(step, 1);
        var done = step - 1;
        if (done < WarmupSteps) return Peak * done / Math.Max(1, WarmupSteps);
        var progress = Math.Min(1, (double)(done - WarmupSteps) / Math.Max(1, TotalSteps - WarmupSteps));
        return Peak * Kind switch
        {
            ScheduleKind.Linear => 1 - progress,
            ScheduleKind.Cosine => MinimumRatio + ((1 - MinimumRatio) * (1 + Math.Cos(Math.PI * progress)) / 2),
            _ => 1,
        };
    }
}

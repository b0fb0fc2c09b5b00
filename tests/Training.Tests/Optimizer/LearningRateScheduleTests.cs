using Gradus.Training.Optimizer;
using Xunit;

namespace Gradus.Training.Tests.Optimizer;

/// <summary>The numbers are those of transformers' get_*_schedule_* with 2 warm-up steps of 10.</summary>
public sealed class LearningRateScheduleTests
{
    [Theory]
    [InlineData(ScheduleKind.Constant, 0, new[] { 0, .5, 1, 1, 1, 1, 1, 1, 1, 1 })]
    [InlineData(ScheduleKind.Linear, 0, new[] { 0, .5, 1, .875, .75, .625, .5, .375, .25, .125 })]
    [InlineData(ScheduleKind.Cosine, 0, new[] { 0, .5, 1, .961939766, .853553390, .691341716, .5, .308658283, .146446609, .038060233 })]
    [InlineData(ScheduleKind.Cosine, .1, new[] { 0, .5, 1, .965745789, .868198051, .722207544, .55, .377792455, .231801948, .134254210 })]
    public void RatesFollowTransformers(ScheduleKind kind, double minimum, double[] expected)
    {
        var schedule = new LearningRateSchedule(kind, 3, 10, 2, minimum);
        for (var step = 1; step <= 10; step++) Assert.Equal(3 * expected[step - 1], schedule.At(step), 1e-8);
    }

    [Fact]
    public void WithoutWarmUpTheFirstStepHasThePeak()
    {
        Assert.Equal(2, new LearningRateSchedule(ScheduleKind.Cosine, 2, 10).At(1));
        Assert.Equal(2, new LearningRateSchedule(ScheduleKind.Linear, 2, 1).At(1));
    }

    [Fact]
    public void BeyondTheEndTheRateStays() => Assert.Equal(.2, new LearningRateSchedule(ScheduleKind.Cosine, 2, 10, 0, .1).At(20), 1e-12);

    [Fact]
    public void AnUnknownNameIsRefused() =>
        Assert.Contains("'polynomial'", Assert.Throws<InvalidInputException>(() => LearningRateSchedule.Parse("polynomial")).Message);
}

using Gradus.Training.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

/// <summary>Routing worked by hand: six experts in three groups, whose scores are the sigmoids of the given logits.</summary>
public sealed class ExpertRouterTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();

    [Fact]
    public void TheBestExpertsOfTheBestGroupsAreChosenByCorrectedScores()
    {
        // Groups {0, 1}, {2, 3}, {4, 5}. Without correction: sums of sigmoids 1.46, 1.31, 0.98; the last is closed, though 4 alone is the best of all.
        var (experts, weights) = Route([1, 1, 0.5f, 0.8f, 5, -5], [0, 0, 0, 0, 0, 0], new ExpertShape(6, 2, 1, 4, 3, 2, 2, Normalised: true, 0));
        Assert.Equal([0, 1], experts.Order());
        Assert.Equal([1f, 1f], weights);
        // Corrected, the first group is closed and 2 is before 3; weights are of the scores alone.
        (experts, weights) = Route([1, 1, 0.5f, 0.8f, 5, -5], [-1, 0, 0.2f, 0, 0.1f, 0], new ExpertShape(6, 2, 1, 4, 3, 2, 2, Normalised: false, 0));
        Assert.Equal([4, 2], experts);
        Assert.Equal(2 / (1 + Math.Exp(-5)), weights[0], 1e-6);
        Assert.Equal(2 / (1 + Math.Exp(-0.5)), weights[1], 1e-6);
    }

    [Fact]
    public void WeightsAreMadeToSumToTheScaleAndAClosedGroupStaysClosedBelowZero()
    {
        // All corrected scores of the open group are below 0; experts of closed groups are still not chosen.
        var (experts, weights) = Route([0, 0, 2, 1, 0, 0], [-9, -9, -2, -2, -9, -9], new ExpertShape(6, 2, 1, 4, 3, 1, 2.5, Normalised: true, 0));
        Assert.Equal([2, 3], experts);
        Assert.Equal(2.5, weights.Sum(), 1e-6);
        Assert.Equal((1 + Math.Exp(-1)) / (1 + Math.Exp(-2)), weights[0] / weights[1], 1e-6);
    }

    public void Dispose() => scope.Dispose();

    private static (long[] Experts, float[] Weights) Route(float[] logits, float[] correction, ExpertShape shape)
    {
        var router = new ExpertRouter(shape, torch.tensor(logits, [6, 1]), torch.tensor(correction));
        var (experts, weights) = router.Route(ones(1, 1));
        return (experts.contiguous().data<long>().ToArray(), weights.contiguous().data<float>().ToArray());
    }
}

using Gradus.Training.Model;
using Xunit;

namespace Gradus.Training.Tests.Model;

/// <summary>Frequencies of published configs, worked out in double precision from the formulas of the papers and of transformers.</summary>
public sealed class RotaryFrequenciesTests
{
    [Fact]
    public void Llama31StretchesLongWavesLeavesShortOnesAndBlendsBetween()
    {
        var scaling = new RotaryScaling("llama3", 8) { LowFrequencyFactor = 1, HighFrequencyFactor = 4, OriginalPositions = 8_192 };
        var (inverse, amplitude) = RotaryFrequencies.Of(500_000, 128, scaling);
        Assert.Equal(1, amplitude);
        AreNear(inverse, (0, 1), (1, 0.8146172338565447), (28, 0.003211445994752591), (29, 0.002166570763503359), (32, 0.0005248461609929547), (34, 0.0001785078127679964), (35, 9.556212353964683e-05), (63, 3.068925988914511e-07));
    }

    [Fact]
    public void Qwen25WithYarnAsItsModelCardSays()
    {
        var (inverse, amplitude) = RotaryFrequencies.Of(1e6, 128, new RotaryScaling("yarn", 4) { OriginalPositions = 32_768 });
        Assert.Equal(1.138629436111989, amplitude, 1e-6);
        AreNear(inverse, (0, 1), (10, 0.1154781984689458), (23, 0.006978305848598663), (24, 0.005375321490790102), (30, 0.0010643609812470017), (39, 6.490394320837028e-05), (40, 4.445698525097307e-05), (63, 3.102344401879299e-07));
    }

    [Fact]
    public void DeepSeekV3HasYarnWithoutAmplitudeAndWarmerScores()
    {
        var scaling = new RotaryScaling("yarn", 40) { OriginalPositions = 4_096, Mscale = 1, MscaleAllDim = 1 };
        var (inverse, amplitude) = RotaryFrequencies.Of(10_000, 64, scaling);
        Assert.Equal(1, amplitude);
        Assert.Equal(1.8738542070926265, scaling.ScoreScale, 1e-12);
        AreNear(inverse, (10, 0.056234132519034905), (11, 0.039006926567143864), (15, 0.008334508951020775), (22, 0.00017782794100389222), (23, 3.33380358040831e-05), (31, 3.33380358040831e-06));
        Assert.Equal(1 / 1.2608037774058554 * 1.3688879454113936, (scaling with { MscaleAllDim = 0.707 }).Amplitude, 1e-9);
    }

    [Fact]
    public void YarnsRampMayBeginBetweenFeaturesAndTheAmplitudeMayBeSaid()
    {
        var (inverse, amplitude) = RotaryFrequencies.Of(10_000, 64, new RotaryScaling("yarn", 40) { OriginalPositions = 4_096, Truncate = false, AttentionFactor = 1.25 });
        Assert.Equal(1.25f, amplitude);
        AreNear(inverse, (10, 0.056234132519034905), (11, 0.04036758449441141), (15, 0.008446235311291834), (22, 0.00011838773159168898));
    }

    [Fact]
    public void LinearDividesAllAndLongropeEach()
    {
        AreNear(RotaryFrequencies.Of(10_000, 4, new RotaryScaling("linear", 4)).Inverse, (0, 0.25), (1, 0.0025));
        var (inverse, amplitude) = RotaryFrequencies.Of(10_000, 4, new RotaryScaling("longrope", 16) { OriginalPositions = 256, Factors = [2, 5] });
        AreNear(inverse, (0, 0.5), (1, 0.002));
        Assert.Equal(Math.Sqrt(1.5), amplitude, 1e-6);
        Assert.Equal(1, RotaryFrequencies.Of(10_000, 4, new RotaryScaling("longrope", 16) { OriginalPositions = 256, Factors = [2, 5], AttentionFactor = 1 }).Amplitude);
    }

    private static void AreNear(float[] actual, params (int Pair, double Value)[] expected)
    {
        foreach (var (pair, value) in expected) Assert.Equal(value, actual[pair], 2e-6 * value);
    }
}

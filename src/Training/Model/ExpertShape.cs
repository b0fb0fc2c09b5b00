namespace Gradus.Training.Model;

/// <summary>The mixture of experts of DeepSeek-V3 (section 2.1.2 of its report): which layers have it, and how a token finds its experts.</summary>
/// <param name="Count">Routed experts of a layer.</param>
/// <param name="PerToken">Experts that a token goes through.</param>
/// <param name="Shared">Experts that every token goes through: one feed-forward of so many times the width.</param>
/// <param name="Width">Inner width of one expert.</param>
/// <param name="Groups">Groups the experts are cut into; divides <paramref name="Count"/>.</param>
/// <param name="GroupsPerToken">Groups that a token may choose experts from.</param>
/// <param name="Scale">What the chosen experts' weights are multiplied with.</param>
/// <param name="Normalised">Whether the chosen experts' weights are made to sum to 1 first.</param>
/// <param name="DenseLayers">The first layers that have a plain feed-forward instead.</param>
public sealed record ExpertShape(int Count, int PerToken, int Shared, int Width, int Groups, int GroupsPerToken, double Scale, bool Normalised, int DenseLayers);

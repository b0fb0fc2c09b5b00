using System.Text.Json;
using Gradus.Training.Model;
using Gradus.Training.Optimizer;
using static TorchSharp.torch;

namespace Gradus.Training.Checkpoints;

/// <summary>A whole checkpoint on disk, its hashes checked: everything up to and with <paramref name="Step"/>.</summary>
/// <param name="State">What the stage gave to be kept: counters, data position.</param>
/// <param name="OptimizerSteps">Updates the optimizer had made.</param>
public sealed record Checkpoint(int Step, string Folder, JsonElement State, long OptimizerSteps)
{
    internal const string OptimizerFile = "optimizer.safetensors", StateFile = "state.json";

    /// <summary>The model as it was.</summary>
    /// <param name="folderOf">The folder of a model by its id: a checkpoint of an adapter holds the adapter alone.</param>
    public CausalLm LoadModel(string device, Func<string, string> folderOf) => StoredModel.At(Folder, folderOf).Load(device);

    /// <summary>Puts the optimizer's means and count back as they were; its parameters must be the same.</summary>
    public void LoadOptimizer(AdamW optimizer)
    {
        using var file = Safetensors.Open(Path.Combine(Folder, OptimizerFile));
        foreach (var (name, tensor) in optimizer.State)
        {
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            tensor.copy_(file.Read(name));
        }
        optimizer.Resume(OptimizerSteps);
    }
}

using Gradus.Api;

// One binary: the service, and the children it starts for a stage (`stage`) and for chat (`serve`).
return args switch
{
    _ => await ServiceSetup.RunAsync(args),
};
